// Names of the files that users download.

/**
 * @param {string} name of the file that the user chose
 * @param {string} suffix of the result, such as ".jpg"
 */
export function restoredName(name, suffix) {
  const stem = name.replace(/\.[^.]+$/, "").replaceAll(/[\\/:]/g, "_") || "photo";
  return `${stem}.restored${suffix}`;
}

/**
 * The same names, each one different: "a.jpg" becomes "a (2).jpg" when there is one already.
 *
 * Names that differ in upper and lower case only are the same to many file systems.
 * @param {string[]} names
 */
export function uniqueNames(names) {
  const taken = new Set();
  return names.map((name) => {
    const [, stem, suffix] = /^(.*?)((?:\.restored)?\.[^.]*)?$/s.exec(name);
    let unique = name;
    for (let count = 2; taken.has(unique.toLowerCase()); count += 1) {
      unique = `${stem} (${count})${suffix ?? ""}`;
    }
    taken.add(unique.toLowerCase());
    return unique;
  });
}
