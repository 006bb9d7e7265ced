// One photo of the user: what is done with it at the moment, and the last result.

import { ApiError, DAMAGED, isFinished, sleep } from "./api.js";

// Whoever switches three kinds wants one restoration, not three.
const PAUSE_SECONDS = 0.4;
// An upload that took too long; a job that the server has lost, as it was started again.
const RETRIED = new Set([404, 408, 410]);
const ACTIVE = new Set(["waiting", "sending", "held", "queued", "running", "fetching"]);

/**
 * @typedef {object} Settings
 * @property {"auto"|string[]} damage kinds to restore; none of them leaves the photo as it is
 * @property {number} strength in [0, 1]
 * @property {boolean} keepTone
 * @property {boolean} keepMetadata
 * @property {boolean} salvage restore what is left of a damaged file
 */

/**
 * @typedef {object} Result
 * @property {object} about what the API says of it
 * @property {Settings} settings with which it was made
 * @property {Blob} blob the file to download
 * @property {Blob} before a picture that the browser can show
 * @property {Blob} after the same
 * @property {?Blob} regions to lay over the picture
 */

/** Dispatches "change" whenever something about it has changed. */
export class Photo extends EventTarget {
  /** @type {Settings} */
  settings;
  /** "waiting", "sending", "held", "queued", "running", "fetching", "done", "failed" or "cancelled". */
  state = "waiting";
  /** Why it failed. */
  message = "";
  /** Whether it makes sense to try again after a failure. */
  canRetry = false;
  /** Whether the file is damaged and something of it can be restored. */
  canSalvage = false;
  /** Seconds until a busy server is asked again. */
  seconds = 0;
  position = null;
  progress = null;
  /** @type {?Result} */
  result = null;
  /** Kinds that speak for a change and their probabilities; null before anything was looked for. */
  found = null;
  #api;
  #pools;
  #abort = null;
  #job = null;

  /** @param {{work: import("./api.js").Pool, sending: import("./api.js").Pool}} pools in which it waits its turn */
  constructor(file, settings, api, pools) {
    super();
    this.file = file;
    this.name = file.name || "photo";
    this.settings = settings;
    this.#api = api;
    this.#pools = pools;
  }

  /** Whether something is being done with it. */
  get active() {
    return ACTIVE.has(this.state);
  }

  /** Kinds that are, or will be, restored. */
  get kinds() {
    return this.settings.damage === "auto" ? Object.keys(this.found ?? {}) : this.settings.damage;
  }

  /** Fail without asking the server. */
  refuse(message) {
    this.#set("failed", { message, canRetry: false, canSalvage: false });
  }

  /** Restore again with other settings, shortly after the last change of them. */
  change(settings) {
    this.settings = { ...this.settings, ...settings };
    this.start(PAUSE_SECONDS);
  }

  /** Restore with the present settings; what was being done is dropped. */
  async start(pause = 0) {
    this.#stop();
    const abort = new AbortController();
    this.#abort = abort;
    this.#set("waiting", { position: null, progress: null });
    try {
      await sleep(pause, abort.signal);
      await this.#pools.work.run(() => this.#restore(abort.signal), abort.signal);
    } catch (error) {
      if (this.#abort === abort) {
        this.#abort = null;
        const canSalvage = error.type === DAMAGED && !this.settings.salvage;
        const message = canSalvage ? "The file is damaged or ends early. Copy it again from its source, if you can." : error.message;
        this.#set("failed", { message, canRetry: mayHelp(error), canSalvage });
      }
    }
  }

  /** Stop; the last result stays, together with its settings. */
  cancel() {
    this.#stop();
    if (this.result) {
      this.settings = this.result.settings;
      this.#set("done");
    } else {
      this.#set("cancelled");
    }
  }

  /** Stop and let the server forget it. */
  discard() {
    this.#stop();
  }

  #stop() {
    this.#abort?.abort();
    this.#abort = null;
    this.#forget();
  }

  #forget() {
    if (this.#job) {
      this.#api.forget(this.#job);
      this.#job = null;
    }
  }

  async #restore(signal) {
    const settings = this.settings;
    const job = await this.#pools.sending.run(() => {
      this.#set("sending");
      return this.#api.submit(this.file, settings, signal, (seconds) =>
        this.#set(seconds ? "held" : "sending", { seconds }),
      );
    }, signal);
    if (signal.aborted) {
      this.#api.forget(job);
      signal.throwIfAborted();
    }
    this.#job = job;
    try {
      const last = await this.#follow(job, signal);
      this.#set("fetching");
      this.result = await this.#fetch(last, settings, signal);
    } finally {
      if (this.#job === job) {
        this.#forget();
      }
    }
    this.#abort = null;
    this.found = this.result.about.outcome.found;
    this.#set("done");
  }

  async #follow(job, signal) {
    let last = job;
    for await (last of this.#api.watch(job, signal)) {
      if (!isFinished(last)) {
        this.#set(last.status, { position: last.position, progress: last.progress });
      }
    }
    if (last.status === "done") {
      return last;
    }
    const fallback = last.status === "failed" ? "The server could not restore it." : `The photo is ${last.status} on the server.`;
    throw new ApiError(last.error?.detail ?? fallback, last.error?.status, last.error?.type);
  }

  async #fetch(job, settings, signal) {
    const { result, before, after, regions } = job.links;
    const get = (link) => (link ? this.#api.blob(link, signal) : null);
    const blob = await get(result);
    return {
      about: job.result,
      settings,
      blob,
      before: (await get(before)) ?? this.file,
      after: (await get(after)) ?? blob,
      regions: await get(regions),
    };
  }

  #set(state, values = {}) {
    Object.assign(this, values, { state });
    this.dispatchEvent(new Event("change"));
  }
}

/** Whether trying the same once more may help: not when the server has judged the photo itself. */
function mayHelp(error) {
  return !(error.status >= 400 && error.status < 500) || RETRIED.has(error.status);
}
