// What the page calls things.

const KINDS = {
  noise: "Noise",
  jpeg: "JPEG artefacts",
  haze: "Haze",
  rain: "Rain",
  raindrop: "Raindrops",
  snow: "Snow",
  blur: "Blur",
  lowlight: "Low light",
};

const LEVELS = ["Bad", "Poor", "Fair", "Good", "Excellent"];

/** @param {string} kind as the API calls it */
export function kindWords(kind) {
  return KINDS[kind] ?? kind.charAt(0).toUpperCase() + kind.slice(1);
}

/** The level that a quality score in 1..5 is nearest to. */
export function levelWords(score) {
  return LEVELS[Math.min(4, Math.max(0, Math.round(score) - 1))];
}

/** A share in [0, 1] such as "41 %"; what is neither 0 nor 1 is not rounded to it. */
export function percent(share) {
  if (share > 0 && share < 0.01) {
    return "under 1 %";
  }
  return `${share > 0.99 && share < 1 ? 99 : Math.round(100 * share)} %`;
}

/** @param {number} count of bytes */
export function bytes(count) {
  if (count < 1e6) {
    return `${Math.max(1, Math.round(count / 1e3))} kB`;
  }
  return `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
}

/** A limit such as "64 MiB", as the server's options count it. */
export function mebibytes(count) {
  const value = count / 2 ** 20;
  return `${value < 10 ? Number(value.toFixed(2)) : Math.round(value)} MiB`;
}

/** Such as "15 minutes" or "30 seconds". */
export function duration(seconds) {
  const [count, unit] = seconds < 120 ? [Math.round(seconds), "second"] : [Math.round(seconds / 60), "minute"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

export function sentence(text) {
  return text && text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/** The same within a sentence. */
export function kindWithin(kind) {
  const words = kindWords(kind);
  return words.startsWith("JPEG") ? words : words.toLowerCase();
}

/** What was found and done. What the user has chosen is left out, since the page shows it anyway. */
export function outcomeWords(outcome) {
  const done = outcome.text.split(": ").at(-1);
  const found = Object.entries(outcome.found).map(([kind, share]) => `${kindWithin(kind)} ${percent(share)}`);
  return outcome.damage === "auto" && found.length ? `${found.join(", ")}: ${done}` : done;
}

/** What happens to a photo at the moment, in a few words. */
export function stateWords(photo) {
  switch (photo.state) {
    case "waiting":
      return "Waiting to be sent";
    case "sending":
      return "Sending";
    case "held":
      return `The server is busy; next try in ${photo.seconds} s`;
    case "queued":
      return queueWords(photo.position);
    case "running":
      return photo.progress
        ? `Restoring: ${photo.progress.done} of ${photo.progress.total} tiles`
        : "Looking at the photo";
    case "fetching":
      return "Fetching the result";
    case "done":
      return photo.result.about.outcome.changed === false ? "Left as it is" : "Restored";
    case "cancelled":
      return "Cancelled";
    default:
      return photo.message;
  }
}

function queueWords(position) {
  if (position === null || position === undefined) {
    return "In the queue";
  }
  return position === 0 ? "Next in the queue" : `In the queue, ${position} before it`;
}
