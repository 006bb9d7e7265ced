// Folders that are dropped: their files, at every depth, in the order of their names.

/**
 * @param {FileSystemDirectoryEntry} folder
 * @returns {Promise<File[]>} without hidden files, such as a system keeps in folders
 */
export async function filesIn(folder) {
  const files = [];
  for (const entry of await entriesOf(folder)) {
    if (entry.name.startsWith(".")) {
      continue;
    }
    if (entry.isDirectory) {
      files.push(...(await filesIn(entry)));
    } else {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    }
  }
  return files;
}

/** Browsers give a hundred entries at a time, and none at the end. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) {
      return entries.sort((one, other) => (one.name < other.name ? -1 : 1));
    }
    entries.push(...some);
  }
}
