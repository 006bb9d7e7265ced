// What was found in the photo that is seen large, and how it is to be restored.

import { showProgress } from "./list.js";
import { restoredName } from "./names.js";
import { bytes, kindWords, levelWords, outcomeWords, percent, sentence, stateWords } from "./words.js";

// Kinds from this probability on are shown with it.
const NAMED = 0.1;

const byId = (id) => document.getElementById(id);

export class Panel {
  #photo = null;
  #kinds = [];
  #chips = new Map();
  #automatic;
  #url = null;

  /** @param {{changed: function(object): void, retry: function(): void, all: function(): void}} actions on the photo that is shown */
  constructor(actions) {
    this.actions = actions;
    this.#automatic = chip("Automatic", () => this.#change({ damage: "auto" }));
    byId("chips").append(this.#automatic);
    byId("cancel").addEventListener("click", () => this.#photo.cancel());
    byId("retry").addEventListener("click", () => this.actions.retry());
    byId("salvage").addEventListener("click", () => this.#change({ salvage: true }));
    byId("strength").addEventListener("input", (event) => showStrength(event.target.value));
    byId("strength").addEventListener("change", (event) => this.#change({ strength: event.target.value / 100 }));
    byId("keep-tone").addEventListener("change", (event) => this.#change({ keepTone: event.target.checked }));
    byId("keep-metadata").addEventListener("change", (event) => this.#change({ keepMetadata: event.target.checked }));
    byId("use-for-all").addEventListener("click", () => this.actions.all());
  }

  /** @param {string[]} kinds that can be restored */
  set kinds(kinds) {
    this.#kinds = kinds;
    this.#chips.clear();
    for (const kind of kinds) {
      const button = chip(kindWords(kind), () => this.#toggle(kind));
      button.dataset.kind = kind;
      this.#chips.set(kind, button);
    }
    byId("chips").replaceChildren(this.#automatic, ...this.#chips.values());
  }

  /** @param {?import("./photo.js").Photo} photo */
  show(photo) {
    this.#photo = photo;
    this.update();
  }

  update() {
    const photo = this.#photo;
    if (!photo) {
      this.#link(null);
      return;
    }
    const { settings } = photo;
    this.#updateState(photo);
    this.#updateChips(photo);
    const strength = Math.round(100 * settings.strength);
    byId("strength").value = strength;
    showStrength(strength);
    byId("keep-tone").checked = settings.keepTone;
    byId("keep-metadata").checked = settings.keepMetadata;
    this.#updateDownload(photo);
  }

  #updateState(photo) {
    const outcome = photo.state === "done" ? photo.result.about.outcome : null;
    byId("state").textContent = sentence(outcome ? outcomeWords(outcome) : stateWords(photo));
    byId("progress-box").dataset.state = photo.state;
    showProgress(byId("state-progress"), photo);
    this.#showActions({
      cancel: photo.active,
      salvage: photo.state === "failed" && photo.canSalvage,
      retry: photo.state === "cancelled" || (photo.state === "failed" && photo.canRetry),
    });
    const refused = photo.state === "failed" && !photo.result;
    byId("found-box").hidden = refused;
    byId("how-box").hidden = refused;
  }

  /** Show some of the buttons; one that has the focus and goes passes it on. */
  #showActions(shown) {
    const focused = document.activeElement;
    for (const [id, on] of Object.entries(shown)) {
      byId(id).hidden = !on;
    }
    if (focused?.id in shown && !shown[focused.id]) {
      byId(Object.keys(shown).find((id) => shown[id]) ?? "state").focus();
    }
  }

  #updateChips(photo) {
    const percepts = photo.result?.about.percepts;
    byId("score").hidden = !percepts;
    if (percepts) {
      const level = document.createElement("strong");
      level.textContent = levelWords(percepts.score);
      byId("score").replaceChildren("Quality before: ", level, ` (${percepts.score.toFixed(1)} of 5)`);
    }
    this.#automatic.setAttribute("aria-pressed", String(photo.settings.damage === "auto"));
    const kinds = photo.kinds;
    for (const [kind, button] of this.#chips) {
      button.setAttribute("aria-pressed", String(kinds.includes(kind)));
      const share = photo.found?.[kind] ?? percepts?.degradations[kind] ?? 0;
      button.querySelector(".share").textContent = share >= NAMED ? ` ${percent(share)}` : "";
    }
  }

  #updateDownload(photo) {
    byId("download-box").hidden = !photo.result || photo.active;
    if (!photo.result) {
      this.#link(null);
      return;
    }
    const { about, blob } = photo.result;
    this.#link(blob);
    byId("download").download = restoredName(photo.name, about.suffix);
    byId("download-about").textContent = [
      about.format.toUpperCase(),
      `${about.width} × ${about.height} px`,
      bytes(blob.size),
    ].join(", ");
    const notes = (about.notes ?? []).map((note) => {
      const item = document.createElement("li");
      item.textContent = sentence(note);
      return item;
    });
    byId("notes").replaceChildren(...notes);
    byId("notes").hidden = !notes.length;
  }

  #link(blob) {
    if (this.#url?.blob === blob) {
      return;
    }
    if (this.#url) {
      URL.revokeObjectURL(this.#url.href);
    }
    this.#url = blob && { blob, href: URL.createObjectURL(blob) };
    if (blob) {
      byId("download").href = this.#url.href;
    } else {
      byId("download").removeAttribute("href");
    }
  }

  #toggle(kind) {
    const on = new Set(this.#photo.kinds);
    if (!on.delete(kind)) {
      on.add(kind);
    }
    this.#change({ damage: this.#kinds.filter((each) => on.has(each)) });
  }

  #change(settings) {
    this.actions.changed(settings);
  }
}

function showStrength(value) {
  byId("strength-value").textContent = `${value} %`;
}

function chip(words, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.setAttribute("aria-pressed", "false");
  const share = document.createElement("span");
  share.className = "share";
  button.append(words, share);
  button.addEventListener("click", act);
  return button;
}
