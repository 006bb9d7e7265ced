// The list of photos: a picture, a name, what happens to it, and a button to stop or remove it.

import { Pool } from "./api.js";
import { stateWords } from "./words.js";

const SIDE = 96;
// Decoding is quick, but a large photo takes much memory while it lasts.
const decoding = new Pool(1);

export class Row {
  /** The list item. */
  element = document.createElement("li");
  #photo;
  #select = document.createElement("button");
  #name = document.createElement("span");
  #state = document.createElement("span");
  #progress = document.createElement("progress");
  #stop = document.createElement("button");
  #canvas = document.createElement("canvas");
  #drawn = null;

  /**
   * @param {import("./photo.js").Photo} photo
   * @param {{select: function(), remove: function()}} actions
   */
  constructor(photo, { select, remove }) {
    this.#photo = photo;
    this.#canvas.width = this.#canvas.height = SIDE;
    this.#canvas.setAttribute("aria-hidden", "true");
    this.#name.className = "name";
    this.#name.textContent = photo.name;
    this.#state.className = "state";
    const words = document.createElement("span");
    words.className = "words";
    words.append(this.#name, this.#state);
    this.#select.type = "button";
    this.#select.className = "select";
    this.#select.append(this.#canvas, words);
    this.#select.addEventListener("click", select);
    this.#progress.setAttribute("aria-label", `Progress of ${photo.name}`);
    this.#stop.type = "button";
    this.#stop.className = "stop";
    this.#stop.addEventListener("click", () => (photo.active ? photo.cancel() : remove()));
    this.element.append(this.#select, this.#stop, this.#progress);
    this.#draw(photo.file);
    this.update();
  }

  focus() {
    this.#select.focus();
  }

  /** @param {boolean} selected whether the photo is the one that is seen large */
  set selected(selected) {
    this.#select.setAttribute("aria-current", String(selected));
  }

  update() {
    const photo = this.#photo;
    this.#state.textContent = stateWords(photo);
    this.element.dataset.state = photo.state;
    showProgress(this.#progress, photo);
    const label = `${photo.active ? "Cancel" : "Remove"} ${photo.name}`;
    this.#stop.textContent = "×";
    this.#stop.title = label;
    this.#stop.setAttribute("aria-label", label);
    if (photo.result && photo.result.before !== this.#drawn) {
      this.#draw(photo.result.before);
    }
  }

  async #draw(blob) {
    this.#drawn = blob;
    let picture;
    try {
      picture = await decoding.run(() => createImageBitmap(blob));
    } catch {
      return; // not a format that browsers show; the server sends one that is
    }
    const scale = Math.max(SIDE / picture.width, SIDE / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    const context = this.#canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    picture.close();
  }
}

/** Let a progress bar say how far a photo is; hidden while nothing is done to it. */
export function showProgress(bar, photo) {
  bar.hidden = !["sending", "running", "fetching"].includes(photo.state);
  if (photo.state === "running" && photo.progress) {
    bar.max = Math.max(1, photo.progress.total);
    bar.value = photo.progress.done;
  } else {
    bar.removeAttribute("value");
  }
}
