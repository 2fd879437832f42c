/** The browser's elements, as promises. */

/**
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T} the page's element of this kind
 */
export function theElement(selector, kind) {
  const element = document.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`the page has no ${selector}`);
  return element;
}

/**
 * @param {Blob} blob
 * @returns {Promise<HTMLImageElement | null>} null where the browser cannot show it
 */
export async function openPicture(blob) {
  const picture = new Image();
  picture.src = URL.createObjectURL(blob);
  try {
    await picture.decode();
    return picture;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(picture.src);
  }
}

/**
 * Waits for the next frame of a playing video, or for its end.
 *
 * @param {HTMLVideoElement} video
 * @returns {Promise<void>}
 */
export function nextFrame(video) {
  return new Promise((resolve) => {
    const ends = ["ended", "emptied"];
    const done = () => {
      for (const end of ends) video.removeEventListener(end, done);
      resolve();
    };
    for (const end of ends) video.addEventListener(end, done);
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
  });
}
