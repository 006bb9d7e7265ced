// The HTTP API of the server. Paths are relative to the page, so that a proxy may put both below a path.

const BUSY = new Set([429, 503]);
const DEFAULT_WAIT = 5;
const LONGEST_WAIT = 60;
const POLL_SECONDS = 1;
const TRIES = 5;
// A browser opens six connections to a host; streams must not take them all.
const MOST_STREAMS = 2;

/** Type of the problem of a damaged file of which something can be restored. */
export const DAMAGED = "urn:clearair:damaged";

/** What went wrong, in a sentence for people. `status` is 0 when there was no answer. */
export class ApiError extends Error {
  constructor(message, status = 0, type = "") {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.type = type;
  }
}

/** Whether nothing more will happen to a job. */
export function isFinished(job) {
  return !["queued", "running"].includes(job.status);
}

export class Api {
  #keys;
  #streams = 0;

  /** @param {{value: ?string, ask: function(?string): Promise<void>}} keys where the API key is kept and asked for */
  constructor(keys) {
    this.#keys = keys;
  }

  /** What the server can do: models, limits, formats, version. */
  async models(signal) {
    return (await this.#request("v1/models", { signal })).json();
  }

  /**
   * Send a photo; returns the job.
   *
   * @param {File} file
   * @param {import("./photo.js").Settings} settings
   * @param {AbortSignal} signal
   * @param {function(number): void} onHeld told how many seconds a busy server asks to wait
   */
  async submit(file, settings, signal, onHeld) {
    const { damage } = settings;
    const query = new URLSearchParams({
      damage: damage === "auto" ? "auto" : damage.join(",") || "none",
      strength: String(settings.strength),
      keep_tone: String(settings.keepTone),
      metadata: settings.keepMetadata ? "keep" : "strip",
      salvage: String(settings.salvage),
      previews: "true",
    });
    const headers = { "Content-Type": "application/octet-stream" };
    const response = await this.#request(`v1/jobs?${query}`, { method: "POST", body: file, headers, signal, onHeld });
    return response.json();
  }

  /** Yield a job each time it has changed, until it is finished. */
  async *watch(job, signal) {
    let last = job;
    yield last;
    if (!isFinished(last) && this.#streams < MOST_STREAMS) {
      this.#streams += 1;
      try {
        for await (last of this.#events(job, signal)) {
          yield last;
        }
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ApiError && error.status) {
          throw error;
        }
        // A stream may break, at a proxy for one; asking still works.
      } finally {
        this.#streams -= 1;
      }
    }
    while (!isFinished(last)) {
      await sleep(POLL_SECONDS, signal);
      last = await this.#poll(job, signal);
      yield last;
    }
  }

  /** The content behind one of a job's links. */
  async blob(link, signal) {
    return (await this.#request(link, { signal })).blob();
  }

  /** Cancel a job and let the server forget its photo. Never fails: it would expire anyway. */
  async forget(job) {
    try {
      await fetch(address(job.links.self), { method: "DELETE", headers: this.#headers(), keepalive: true });
    } catch {
      // It expires by itself.
    }
  }

  async #poll(job, signal) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await (await this.#request(job.links.self, { signal })).json();
      } catch (error) {
        signal.throwIfAborted();
        if (tries === TRIES || error.status) {
          throw error;
        }
        await sleep(tries * POLL_SECONDS, signal);
      }
    }
  }

  async *#events(job, signal) {
    const response = await this.#request(job.links.events, { signal, headers: { Accept: "text/event-stream" } });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) {
          return;
        }
        const events = (text + value).replaceAll("\r\n", "\n").split("\n\n");
        text = events.pop();
        for (const event of events) {
          const data = event.split("\n").filter((line) => line.startsWith("data:"));
          if (data.length) {
            yield JSON.parse(data.map((line) => line.slice(5)).join("\n"));
          }
        }
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  async #request(path, { headers = {}, onHeld = () => {}, signal, ...options } = {}) {
    for (;;) {
      const key = this.#keys.value;
      let response;
      try {
        response = await fetch(address(path), { ...options, signal, headers: { ...headers, ...this.#headers() } });
      } catch (error) {
        signal?.throwIfAborted();
        throw new ApiError("The server does not answer. Check that it is running, then try again.");
      }
      if (response.status === 401) {
        await this.#keys.ask(key);
        signal?.throwIfAborted();
      } else if (BUSY.has(response.status)) {
        await hold(waitOf(response), onHeld, signal);
      } else if (response.ok) {
        return response;
      } else {
        throw await problemOf(response);
      }
    }
  }

  #headers() {
    return this.#keys.value ? { Authorization: `Bearer ${this.#keys.value}` } : {};
  }
}

/** At most `most` tasks at a time; the others wait for their turn. */
export class Pool {
  #free;
  #waiting = [];

  constructor(most) {
    this.#free = most;
  }

  /** Run a task when it is its turn. Raises the signal's reason when that comes first. */
  async run(task, signal) {
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await this.#turn(signal);
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) {
        next();
      } else {
        this.#free += 1;
      }
    }
  }

  #turn(signal) {
    return new Promise((resolve, reject) => {
      const give = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(give), 1);
        reject(signal.reason);
      };
      signal?.throwIfAborted();
      signal?.addEventListener("abort", leave, { once: true });
      this.#waiting.push(give);
    });
  }
}

/** Wait so many seconds, or raise the signal's reason when that comes first. */
export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

async function hold(seconds, onHeld, signal) {
  for (let left = seconds; left > 0; left -= 1) {
    onHeld(left);
    await sleep(1, signal);
  }
  onHeld(0);
}

function address(path) {
  return new URL(path, document.baseURI);
}

function waitOf(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return Math.min(LONGEST_WAIT, Math.max(1, Number.isNaN(seconds) ? DEFAULT_WAIT : seconds));
}

async function problemOf(response) {
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // A proxy may answer with a page of its own.
  }
  const detail = problem?.detail ?? problem?.title;
  return new ApiError(
    detail || `The server answers with an error (${response.status}).`,
    response.status,
    problem?.type,
  );
}
