/** Which parts of an image are worth a zoomed pass: asmnet/regions.py in JavaScript. */

/** @import { Output } from "./session.js" */
/** @typedef {[number, number, number, number]} Region  left, top, right, bottom in whole pixels */

const CLOSER_SCORE = 0.3;
const CLOSER_CELLS = 3;
const WHOLE_PART = 0.7;

/**
 * Rectangles around the places where faces may hide that are too small to tell; all of `region` if
 * that is hardly more.
 *
 * @param {Output} smallFaces  logits
 * @param {number} stride  pixels of the look from one of them to the next
 * @param {[number, number]} factors  from image to look
 * @param {Region} region  that was looked at
 * @returns {Region[]}
 */
export function closerRegions(smallFaces, stride, factors, region) {
  const [x0, y0, x1, y1] = region;
  const columns = smallFaces.dims[3];
  // Beside the image there is only the black of the canvas.
  const width = Math.min(Math.ceil(((x1 - x0) * factors[0]) / stride), columns);
  const height = Math.min(Math.ceil(((y1 - y0) * factors[1]) / stride), smallFaces.dims[2]);
  const least = Math.log(CLOSER_SCORE / (1 - CLOSER_SCORE));
  const near = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!(smallFaces.data[y * columns + x] > least)) continue;
      for (let j = Math.max(y - CLOSER_CELLS, 0); j <= Math.min(y + CLOSER_CELLS, height - 1); j++) {
        near.fill(1, j * width + Math.max(x - CLOSER_CELLS, 0),
          j * width + Math.min(x + CLOSER_CELLS + 1, width));
      }
    }
  }
  const cells = apart(connected(near, width, height));
  const seen = cells.reduce((sum, [l, t, r, b]) => sum + (r - l) * (b - t), 0);
  if (seen > WHOLE_PART * near.length) return [region];
  const step = [stride / factors[0], stride / factors[1]];
  return cells.map(([l, t, r, b]) => [
    x0 + Math.floor(l * step[0]),
    y0 + Math.floor(t * step[1]),
    Math.min(x0 + Math.ceil(r * step[0]), x1),
    Math.min(y0 + Math.ceil(b * step[1]), y1),
  ]);
}

/**
 * The boxes of the connected parts (corners count) of a mask, in the order of their first pixels.
 *
 * @param {Uint8Array} mask  which is used up
 * @param {number} width
 * @param {number} height
 * @returns {Region[]}
 */
function connected(mask, width, height) {
  /** @type {Region[]} */
  const boxes = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start]) continue;
    /** @type {Region} */
    const box = [width, height, 0, 0];
    const waiting = [start];
    mask[start] = 0;
    for (let cell = waiting.pop(); cell !== undefined; cell = waiting.pop()) {
      const [x, y] = [cell % width, Math.floor(cell / width)];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
      for (let j = Math.max(y - 1, 0); j <= Math.min(y + 1, height - 1); j++) {
        for (let i = Math.max(x - 1, 0); i <= Math.min(x + 1, width - 1); i++) {
          if (mask[j * width + i]) {
            mask[j * width + i] = 0;
            waiting.push(j * width + i);
          }
        }
      }
    }
    boxes.push(box);
  }
  return boxes;
}

/**
 * Boxes of which those that overlap have become one around both.
 *
 * @param {Region[]} boxes
 * @returns {Region[]}
 */
function apart(boxes) {
  /** @type {Region[]} */
  let result = [];
  for (let box of boxes) {
    for (;;) {
      const [l, t, r, b] = box;
      /** @param {Region} o */
      const overlaps = (o) => o[0] < r && l < o[2] && o[1] < b && t < o[3];
      const touching = result.filter(overlaps);
      if (!touching.length) break;
      result = result.filter((o) => !overlaps(o));
      for (const o of touching) {
        box = [
          Math.min(box[0], o[0]), Math.min(box[1], o[1]),
          Math.max(box[2], o[2]), Math.max(box[3], o[3]),
        ];
      }
    }
    result.push(box);
  }
  return result;
}
