// Folders that are dropped: the photos in them, at every depth, in the order of their names.

// Of files whose type the browser does not know.
const SUFFIXES = /\.(jpe?g|png|tiff?|webp|heic|heif|avif|jxl|bmp|gif|dng|cr2|cr3|nef|arw|raf|orf|rw2|pef)$/i;

/**
 * @param {FileSystemDirectoryEntry} folder
 * @returns {Promise<{photos: File[], unread: string[]}>} and the names of files that cannot be read
 */
export async function photosIn(folder) {
  const photos = [];
  const unread = [];
  for (const entry of await entriesOf(folder)) {
    if (entry.name.startsWith(".")) {
      continue; // a system's own
    }
    if (entry.isDirectory) {
      const deeper = await photosIn(entry);
      photos.push(...deeper.photos);
      unread.push(...deeper.unread);
      continue;
    }
    try {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      if (file.type ? file.type.startsWith("image/") : SUFFIXES.test(file.name)) {
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
