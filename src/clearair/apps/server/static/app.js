// The page of `clearair serve`: takes photos, shows what happens to them, hands out the results.

import { Api, Pool } from "./api.js";
import { photosIn } from "./folders.js";
import { KeyCancelled, Keys } from "./keys.js";
import { Row } from "./list.js";
import { restoredName, uniqueNames } from "./names.js";
import { Panel } from "./panel.js";
import { Photo } from "./photo.js";
import { regionItems } from "./regions.js";
import { downloadZip } from "./vendor/client-zip/client-zip.js";
import { Viewer } from "./viewer.js";
import { duration, mebibytes, stateWords } from "./words.js";

const AT_ONCE = 3;
// Time that a browser takes to begin a download, generously.
const KEEP_ADDRESS_MS = 60_000;
const SPOKEN = new Set(["held", "queued", "running", "done", "failed", "cancelled"]);

const byId = (id) => document.getElementById(id);

const keys = new Keys(byId("key-dialog"), () => {
  if (!limits && !byId("trouble").hidden) {
    begin();
  }
});
const api = new Api(keys);
// Over a slow line two uploads at once would both take twice as long, and the first result would come later.
const pools = { work: new Pool(AT_ONCE), sending: new Pool(1) };
/** @type {Map<Photo, Row>} */
const rows = new Map();
/** Results that the user has downloaded. */
const downloaded = new WeakSet();
/** Settings of photos that are added from now on. */
let usual = { damage: "auto", strength: 1, keepTone: false, keepMetadata: false, salvage: false };
let limits = null;
/** @type {?Photo} */
let selected = null;
let shown = null;
let regionsWanted = false;
/** Whether the browser cannot show the photo that is selected. */
let broken = false;

const viewer = new Viewer(
  byId("stage"),
  (zoom) => {
    byId("zoom-level").textContent = `${Math.round(100 * zoom)} %`;
  },
  () => {
    broken = true;
    showNote();
  },
);
const panel = new Panel({ changed: changeSelected, retry: () => restart([selected]), all: useForAll });

async function begin() {
  keys.askAgain();
  byId("trouble").hidden = true;
  try {
    const about = await api.models();
    limits = about.limits;
    panel.kinds = (about.models.find((model) => model.default) ?? about.models[0]).kinds;
    byId("version").textContent = `ClearAir ${about.version}`;
    byId("privacy").textContent =
      "Photos go to this server only. This page asks the server to delete them as soon as it has the result; " +
      `the server deletes them after ${duration(limits.keep_seconds)} in any case.`;
    byId("limits").textContent = `Up to ${mebibytes(limits.bytes)} and ${Math.round(limits.pixels / 1e6)} megapixels each.`;
  } catch (error) {
    const { message } = error;
    showTrouble(error instanceof KeyCancelled ? `${message} Without it nothing can be restored.` : message, true);
  }
}

function showTrouble(text, mayRetry) {
  byId("trouble-text").textContent = text;
  byId("trouble-retry").hidden = !mayRetry;
  byId("trouble").hidden = false;
}

/** @param {Iterable<File>} files */
function addFiles(files) {
  const wasEmpty = rows.size === 0;
  let first = null;
  keys.askAgain();
  if (!limits) {
    begin();
  }
  for (const file of files) {
    const photo = new Photo(file, { ...usual }, api, pools);
    first ??= photo;
    const row = new Row(photo, { select: () => select(photo), remove: () => remove(photo) });
    rows.set(photo, row);
    byId("list").append(row.element);
    let last = photo.state;
    photo.addEventListener("change", () => {
      row.update();
      if (photo.state !== last) {
        last = photo.state;
        speak(photo);
      }
      if (photo === selected) {
        updateSelected();
      }
      updateWhole();
    });
    if (limits && file.size > limits.bytes) {
      photo.refuse(`This file has ${mebibytes(file.size)}; the server takes at most ${mebibytes(limits.bytes)}.`);
    } else if (file.size === 0) {
      photo.refuse("This file is empty.");
    } else {
      photo.start();
    }
  }
  if (first) {
    updateWhole();
    select(first);
    if (wasEmpty) {
      rows.get(first).focus(); // the button that had it is gone
    }
  }
}

function select(photo) {
  selected = photo;
  for (const [each, row] of rows) {
    row.selected = each === photo;
  }
  panel.show(photo);
  updateSelected();
}

function remove(photo) {
  const order = [...rows.keys()];
  const place = order.indexOf(photo);
  const next = order[place + 1] ?? order[place - 1] ?? null;
  photo.discard();
  rows.get(photo).element.remove();
  rows.delete(photo);
  updateWhole();
  if (!next) {
    selected = shown = null;
    viewer.clear();
    panel.show(null);
    byId("choose").focus();
  } else {
    if (photo === selected) {
      select(next);
    }
    rows.get(next).focus();
  }
}

function updateWhole() {
  byId("welcome").hidden = rows.size > 0;
  byId("work").hidden = rows.size === 0;
  byId("use-for-all").hidden = rows.size < 2;
  byId("download-all").hidden = [...rows.keys()].filter((photo) => photo.result).length < 2;
  byId("retry-all").hidden = retriable().length < 2;
}

function updateSelected() {
  const photo = selected;
  const { result } = photo;
  panel.update();
  byId("picture-title").textContent = photo.name;
  byId("picture-size").textContent = result ? `${result.about.width} × ${result.about.height} px` : "";
  showRegions();
  showNote();
  if (shown?.photo === photo && shown.result === result) {
    return;
  }
  const fresh = shown?.photo !== photo;
  shown = { photo, result };
  broken = false;
  showNote();
  viewer.show(
    {
      before: result?.before ?? photo.file,
      after: result?.after ?? null,
      regions: result?.regions ?? null,
      size: result && { width: result.about.width, height: result.about.height },
      name: photo.name,
    },
    fresh,
  );
}

function showRegions() {
  const result = selected?.result;
  const available = Boolean(result?.regions);
  const on = available && regionsWanted;
  byId("show-regions").hidden = !available;
  byId("show-regions").setAttribute("aria-pressed", String(on));
  viewer.showRegions(on);
  byId("regions").hidden = !on;
  if (on) {
    byId("regions").querySelector("ul").replaceChildren(...regionItems(result.about.percepts.regions));
  }
}

function retriable() {
  return [...rows.keys()].filter((photo) => photo.state === "failed" && photo.canRetry);
}

function restart(photos) {
  keys.askAgain();
  photos.forEach((photo) => photo.start());
}

function changeSelected(settings) {
  keys.askAgain();
  const { damage, salvage, ...lasting } = settings;
  usual = { ...usual, ...lasting };
  selected.change(settings);
}

function useForAll() {
  keys.askAgain();
  const { strength, keepTone, keepMetadata } = selected.settings;
  usual = { ...usual, strength, keepTone, keepMetadata };
  for (const photo of rows.keys()) {
    const { settings } = photo;
    const same =
      settings.strength === strength && settings.keepTone === keepTone && settings.keepMetadata === keepMetadata;
    if (same) {
      continue;
    }
    if (photo.result || photo.active) {
      photo.change({ strength, keepTone, keepMetadata });
    } else {
      photo.settings = { ...settings, strength, keepTone, keepMetadata }; // for when it is tried again
    }
  }
}

async function downloadAll() {
  const done = [...rows.keys()].filter((photo) => photo.result);
  const names = uniqueNames(done.map((photo) => restoredName(photo.name, photo.result.about.suffix)));
  const files = done.map((photo, index) => ({ name: names[index], input: photo.result.blob, lastModified: new Date() }));
  const zip = await downloadZip(files).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(zip);
  link.download = "restored.zip";
  link.click();
  done.forEach((photo) => downloaded.add(photo.result));
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_ADDRESS_MS);
}

/** Say to screen readers what happens to a photo: all ends, and each step of the one that is seen large. */
function speak(photo) {
  const ended = !photo.active || photo.state === "held";
  if (!SPOKEN.has(photo.state) || (!ended && photo !== selected)) {
    return;
  }
  const line = document.createElement("p");
  line.textContent = `${photo.name}: ${stateWords(photo)}`;
  const status = byId("status");
  status.append(line);
  while (status.childElementCount > 5) {
    status.firstElementChild.remove();
  }
}

function showNote() {
  const text = selected?.active
    ? "Your browser cannot show this format. The page shows a preview when the photo is restored."
    : "There is nothing to show.";
  byId("stage-note").textContent = broken ? text : "";
  byId("stage-note").hidden = !broken;
  byId("tools").hidden = broken;
  byId("stage-keys").hidden = broken;
}

function listenForFiles() {
  const choose = () => byId("files").click();
  byId("choose").addEventListener("click", choose);
  byId("add").addEventListener("click", choose);
  byId("files").addEventListener("change", (event) => {
    addFiles([...event.target.files]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length && !byId("key-dialog").open) {
      event.preventDefault();
      addFiles([...event.clipboardData.files]);
    }
  });
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const hover = (change) => {
    depth = Math.max(0, depth + change);
    byId("drop").hidden = depth === 0;
  };
  document.addEventListener("dragenter", (event) => carriesFiles(event) && hover(1));
  document.addEventListener("dragleave", (event) => carriesFiles(event) && hover(-1));
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) {
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    }
  });
  document.addEventListener("drop", (event) => {
    if (carriesFiles(event)) {
      event.preventDefault();
      hover(-depth);
      addDropped(event.dataTransfer);
    }
  });
}

/** Whether the dialog would offer a file; browsers do not know the types of all photos. */
function isPhoto(file) {
  const suffixes = byId("files").accept.split(",").slice(1);
  return file.type.startsWith("image/") || suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix));
}

/** Add the files of a drop, and those in its folders. */
async function addDropped(transfer) {
  // Both must be taken now: a drop is empty once its event is over.
  const files = [...transfer.files];
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  byId("trouble").hidden ||= limits !== null;
  addFiles(files.filter((_, index) => !entries[index]?.isDirectory));
  for (const folder of entries.filter((entry) => entry?.isDirectory)) {
    try {
      const { photos, unread } = await photosIn(folder, isPhoto);
      addFiles(photos);
      if (!photos.length) {
        showTrouble(`There are no photos in the folder ${folder.name}.`, false);
      } else if (unread.length) {
        showTrouble(`These files of the folder ${folder.name} cannot be read: ${unread.join(", ")}.`, false);
      }
    } catch (error) {
      showTrouble(`The folder ${folder.name} cannot be read: ${error.message}`, false);
    }
  }
}

function listen() {
  byId("trouble-retry").addEventListener("click", begin);
  byId("zoom-in").addEventListener("click", () => viewer.zoomIn());
  byId("zoom-out").addEventListener("click", () => viewer.zoomOut());
  byId("zoom-fit").addEventListener("click", () => viewer.fit());
  byId("zoom-full").addEventListener("click", () => viewer.full());
  byId("show-regions").addEventListener("click", () => {
    regionsWanted = !regionsWanted;
    showRegions();
  });
  byId("download-all").addEventListener("click", downloadAll);
  byId("retry-all").addEventListener("click", () => {
    restart(retriable());
    rows.get(selected).focus(); // the button that had it is gone
  });
  byId("download").addEventListener("click", () => downloaded.add(selected.result));
  window.addEventListener("beforeunload", (event) => {
    if ([...rows.keys()].some((photo) => photo.active || (photo.result && !downloaded.has(photo.result)))) {
      event.preventDefault(); // the browser asks whether to leave
    }
  });
  window.addEventListener("pagehide", (event) => {
    if (!event.persisted) {
      rows.forEach((_, photo) => photo.discard());
    }
  });
}

listenForFiles();
listen();
begin();
