// Before and after, one over the other, with a divider; zoomed and moved by one transform.

import "./vendor/image-compare/image-compare.js";
import Panzoom from "./vendor/panzoom/panzoom.es.js";

const STEP = 1.25;
const ARROW = 60;
// Small pictures are enlarged to fit, but only so far.
const LARGEST_FIT = 3;
const LARGEST_PIXEL = 8;
// From so many screen pixels a picture's pixel on, squares show what is there.
const SQUARE_PIXEL = 4;

// The component's own input covers the pictures. Here only its thumb takes the pointer, so that dragging beside it
// moves the pictures.
// Its picture is a file, since the page's policy allows no data addresses.
const COMPARE_STYLE = `
  :host { height: 100%; }
  slot { height: 100%; }
  slot[name="image-2"] { filter: none; }
  :host::after {
    background: var(--divider-color);
    bottom: 0;
    content: "";
    left: calc(var(--exposure) - var(--divider-width) / 2);
    pointer-events: none;
    position: absolute;
    top: 0;
    width: var(--divider-width);
  }
  :host([plain])::after { display: none; }
  :host([plain]) label { display: none; }
  label { pointer-events: none; z-index: 1; }
  input { outline: none; pointer-events: none; touch-action: none; }
  ::-webkit-slider-thumb { background-image: url("static/thumb.svg"); cursor: ew-resize; pointer-events: auto; }
  ::-moz-range-thumb { background-image: url("static/thumb.svg"); cursor: ew-resize; pointer-events: auto; }
  input:focus-visible::-webkit-slider-thumb { outline: 3px solid var(--focus-color); outline-offset: 2px; }
  input:focus-visible::-moz-range-thumb { outline: 3px solid var(--focus-color); outline-offset: 2px; }
`;

export class Viewer {
  #stage;
  #compare;
  #divider;
  #layers;
  #photos;
  #overlays;
  #panzoom;
  #urls = new Map();
  #size = null;
  #fit = { width: 1, height: 1, full: 1 };
  #onZoom;
  #onBroken;

  /**
   * @param {HTMLElement} stage with an `image-compare` in which two layers hold the pictures
   * @param {function(number): void} onZoom told the screen pixels a picture's pixel takes
   * @param {function(): void} onBroken called when the browser cannot show a picture
   */
  constructor(stage, onZoom, onBroken) {
    this.#stage = stage;
    this.#onZoom = onZoom;
    this.#onBroken = onBroken;
    this.#compare = stage.querySelector("image-compare");
    this.#layers = [...stage.querySelectorAll(".layer")];
    this.#photos = [...stage.querySelectorAll("img.photo")];
    this.#overlays = [...stage.querySelectorAll("img.regions")];
    this.#styleDivider();
    this.#panzoom = Panzoom(this.#layers[0], {
      noBind: true,
      cursor: "grab",
      handleStartEvent: () => {},
      setTransform: (_, { x, y, scale }) => this.#place(x, y, scale),
    });
    this.#listen();
  }

  /** Screen pixels that a pixel of the picture takes. */
  get zoom() {
    return this.#panzoom.getScale() / this.#fit.full;
  }

  /**
   * Show a photo, or another result of it.
   *
   * @param {object} pictures
   * @param {Blob} pictures.before
   * @param {?Blob} pictures.after null while there is none
   * @param {?Blob} pictures.regions
   * @param {?{width: number, height: number}} pictures.size in pixels; the one of `before` when null
   * @param {string} pictures.name
   * @param {boolean} fresh whether it is another photo, to be seen as a whole
   */
  show({ before, after, regions, size, name }, fresh) {
    const [left, right] = this.#photos;
    if (fresh) {
      this.#size = null;
    }
    left.alt = after ? `${name}, before` : name;
    right.alt = after ? `${name}, after` : "";
    this.#compare.toggleAttribute("plain", !after);
    this.#stage.classList.toggle("comparing", Boolean(after));
    this.#fill(left, before);
    this.#fill(right, after ?? before);
    for (const overlay of this.#overlays) {
      this.#fill(overlay, regions);
    }
    if (size) {
      this.#resize(size, fresh);
    } else {
      left.addEventListener("load", () => this.#resize({ width: left.naturalWidth, height: left.naturalHeight }, fresh), {
        once: true,
      });
      if (left.complete && left.naturalWidth) {
        this.#resize({ width: left.naturalWidth, height: left.naturalHeight }, fresh);
      }
    }
  }

  /** Show nothing and let go of all pictures. */
  clear() {
    for (const image of [...this.#photos, ...this.#overlays]) {
      this.#fill(image, null);
    }
    this.#size = null;
  }

  /** @param {boolean} shown whether the regions lie over the pictures */
  showRegions(shown) {
    for (const overlay of this.#overlays) {
      overlay.hidden = !shown;
    }
  }

  zoomIn() {
    this.#zoomTo(this.#panzoom.getScale() * STEP);
  }

  zoomOut() {
    this.#zoomTo(this.#panzoom.getScale() / STEP);
  }

  /** See the whole picture. */
  fit() {
    this.#move(0, 0, 1);
  }

  /** One pixel of the picture is one of the screen. */
  full() {
    this.#zoomTo(this.#fit.full);
  }

  #styleDivider() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(COMPARE_STYLE);
    const root = this.#compare.shadowRoot;
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    this.#divider = root.querySelector("input");
    const tell = () => this.#divider.setAttribute("aria-valuetext", `${this.#divider.value} % before`);
    this.#divider.addEventListener("input", tell);
    tell();
  }

  #listen() {
    const stage = this.#stage;
    for (const photo of this.#photos) {
      photo.addEventListener("error", () => {
        photo.classList.add("broken");
        this.#onBroken();
      });
    }
    stage.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && !this.#isDivider(event)) {
        stage.classList.add("moving");
        this.#panzoom.handleDown(event);
      }
    });
    document.addEventListener("pointermove", (event) => this.#panzoom.handleMove(event), { passive: true });
    for (const name of ["pointerup", "pointercancel"]) {
      document.addEventListener(name, (event) => {
        stage.classList.remove("moving");
        this.#panzoom.handleUp(event);
      });
    }
    this.#layers[0].addEventListener("panzoomend", () => this.#settle());
    stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
        const turn = Math.max(-100, Math.min(100, event.deltaY * lines));
        this.#zoomTo(this.#panzoom.getScale() * STEP ** (-turn / 100), event);
      },
      { passive: false },
    );
    stage.addEventListener("dblclick", (event) => {
      if (!this.#isDivider(event)) {
        this.#zoomTo(this.#isWhole ? this.#fit.full : 1, event);
      }
    });
    stage.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#size && this.#resize(this.#size, this.#isWhole)).observe(stage);
  }

  /** Whether the whole picture is seen, as large as it can be. */
  get #isWhole() {
    return Math.abs(this.#panzoom.getScale() - 1) < 1e-6;
  }

  #isDivider(event) {
    return event.composedPath()[0] === this.#divider;
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const { x, y } = this.#panzoom.getPan();
    const scale = this.#panzoom.getScale();
    const by = ARROW / scale;
    const actions = {
      "+": () => this.zoomIn(),
      "=": () => this.zoomIn(),
      "-": () => this.zoomOut(),
      0: () => this.fit(),
      1: () => this.full(),
    };
    if (!this.#isDivider(event)) {
      // Arrows move the view, so the picture goes the other way.
      Object.assign(actions, {
        ArrowLeft: () => this.#move(x + by, y, scale),
        ArrowRight: () => this.#move(x - by, y, scale),
        ArrowUp: () => this.#move(x, y + by, scale),
        ArrowDown: () => this.#move(x, y - by, scale),
      });
    }
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  }

  /** Zoom so that what is at a point of the screen, by default the middle, stays there. */
  #zoomTo(wanted, point = null) {
    const { minScale, maxScale } = this.#panzoom.getOptions();
    const scale = Math.min(maxScale, Math.max(minScale, wanted));
    const box = this.#stage.getBoundingClientRect();
    const [fromX, fromY] = point
      ? [point.clientX - box.left - box.width / 2, point.clientY - box.top - box.height / 2]
      : [0, 0];
    const now = this.#panzoom.getScale();
    const { x, y } = this.#panzoom.getPan();
    this.#move(x + fromX / scale - fromX / now, y + fromY / scale - fromY / now, scale);
  }

  /** `x` and `y` in pixels of the stage before it is scaled, from its middle. */
  #move(x, y, scale) {
    const [heldX, heldY] = this.#within(x, y, scale);
    this.#panzoom.zoom(scale, { animate: false, force: true });
    this.#panzoom.pan(heldX, heldY, { animate: false, force: true });
    // At rest a finger scrolls the page; of a zoomed picture it moves the view.
    const touch = scale > 1 ? "none" : "pan-y";
    this.#stage.style.touchAction = touch;
    this.#panzoom.setOptions({ touchAction: touch });
  }

  #settle() {
    const { x, y } = this.#panzoom.getPan();
    this.#move(x, y, this.#panzoom.getScale());
  }

  /** The nearest place at which the picture fills the stage as far as it can. */
  #within(x, y, scale) {
    const { clientWidth, clientHeight } = this.#stage;
    const mostX = Math.max(0, (this.#fit.width * scale - clientWidth) / 2 / scale);
    const mostY = Math.max(0, (this.#fit.height * scale - clientHeight) / 2 / scale);
    return [Math.min(mostX, Math.max(-mostX, x)), Math.min(mostY, Math.max(-mostY, y))];
  }

  /** Give both layers the same transform. */
  #place(x, y, scale) {
    const { clientWidth, clientHeight } = this.#stage;
    const [heldX, heldY] = this.#within(x, y, scale);
    // The picture's corner is put on a whole screen pixel, or it would be blurred.
    const left = clientWidth / 2 + heldX * scale - (this.#fit.width * scale) / 2;
    const top = clientHeight / 2 + heldY * scale - (this.#fit.height * scale) / 2;
    const shiftX = heldX * scale + toScreen(left) - left;
    const shiftY = heldY * scale + toScreen(top) - top;
    const zoom = scale / this.#fit.full;
    for (const layer of this.#layers) {
      layer.style.transform = `translate(${shiftX}px, ${shiftY}px) scale(${scale})`;
      layer.classList.toggle("squares", zoom >= SQUARE_PIXEL);
    }
    this.#onZoom(zoom);
  }

  #resize(size, whole) {
    const { clientWidth, clientHeight } = this.#stage;
    if (!size.width || !clientWidth || !clientHeight) {
      return;
    }
    const zoom = this.#size && !whole && !this.#isWhole ? this.zoom : null;
    this.#size = size;
    const ratio = window.devicePixelRatio || 1;
    const fit = Math.min(clientWidth / size.width, clientHeight / size.height, LARGEST_FIT / ratio);
    const full = 1 / (ratio * fit);
    this.#fit = { width: size.width * fit, height: size.height * fit, full };
    this.#panzoom.setOptions({ minScale: Math.min(1, full), maxScale: Math.max(1, LARGEST_PIXEL * full) });
    for (const image of [...this.#photos, ...this.#overlays]) {
      image.style.width = `${this.#fit.width}px`;
      image.style.height = `${this.#fit.height}px`;
    }
    if (zoom === null) {
      this.fit();
    } else {
      this.#zoomTo(zoom * this.#fit.full);
    }
    const { x, y } = this.#panzoom.getPan();
    this.#place(x, y, this.#panzoom.getScale());
  }

  /** Show a blob in an image; the address of the one before is given back. */
  #fill(image, blob) {
    const last = this.#urls.get(image);
    if ((last?.blob ?? null) === (blob ?? null)) {
      return;
    }
    image.classList.remove("broken");
    if (blob) {
      const url = URL.createObjectURL(blob);
      image.src = url;
      this.#urls.set(image, { blob, url });
    } else {
      image.removeAttribute("src");
      this.#urls.delete(image);
    }
    if (last) {
      URL.revokeObjectURL(last.url);
    }
  }
}

function toScreen(length) {
  const ratio = window.devicePixelRatio || 1;
  return Math.round(length * ratio) / ratio;
}
