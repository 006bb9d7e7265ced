// The regions of a photo in words, each with the colour that the overlay gives it.

import { kindWithin, percent } from "./words.js";

const NAMED = 0.3;
const MOST_KINDS = 3;

/** List items for the regions that the API names, largest first. */
export function regionItems(regions) {
  return [...regions].sort((one, other) => other.area - one.area).map((region) => {
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    if (region.label > 0) {
      swatch.style.backgroundColor = colourOf(region.label);
    }
    const name = region.label > 0 ? `Region ${region.label}` : "Elsewhere";
    item.append(swatch, `${name}, ${percent(region.area)} of the picture: ${damageWords(region.degradations)}`);
    return item;
  });
}

/** The colour of a label, as the server paints it: steps of the golden ratio around the circle of hues. */
function colourOf(label) {
  return `hsl(${((label * 0.618) % 1) * 360} 100% 60%)`;
}

function damageWords(degradations) {
  const named = Object.entries(degradations)
    .filter(([, probability]) => probability >= NAMED)
    .sort(([, one], [, other]) => other - one)
    .slice(0, MOST_KINDS)
    .map(([kind, probability]) => `${kindWithin(kind)} ${percent(probability)}`);
  return named.join(", ") || "nothing found";
}
