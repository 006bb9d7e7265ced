// Folders that are dropped: the photos in them, at every depth, in the order of their names.

/**
 * @param {FileSystemDirectoryEntry} folder
 * @param {function(File): boolean} isPhoto
 * @returns {Promise<{photos: File[], unread: string[]}>} and the names of files that cannot be read
 */
export async function photosIn(folder, isPhoto) {
  const photos = [];
  const unread = [];
  for (const entry of await entriesOf(folder)) {
    if (entry.name.startsWith(".")) {
      continue; // a system's own
    }
    if (entry.isDirectory) {
      const deeper = await photosIn(entry, isPhoto);
      photos.push(...deeper.photos);
      unread.push(...deeper.unread);
      continue;
    }
    try {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      if (isPhoto(file)) {
        photos.push(file);
      }
    } catch {
      unread.push(entry.name);
    }
  }
  return { photos, unread };
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
