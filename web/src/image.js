/**
 * Everything becomes RGB pixels here, and is scaled and cropped as asmnet/image.py does it.
 *
 * The browser's own scaling differs from browser to browser, so none of it is used.
 */

/** @import { Pixels } from "./types.js" */
/** @import { CropTransform } from "./geometry.js" */

import { ImageError, messageOf } from "./errors.js";
import { clip, round } from "./geometry.js";

/** Pixels that a picture may have: Pillow's limit, and so Python's. */
export const MAX_PIXELS = 89_478_485;

// A canvas has a largest size, on some phones of 16 million pixels: a picture is read in strips.
const STRIP_PIXELS = 4_000_000;

// Sides below this are not halved: a last row that comes twice would be seen.
const THIN_SIDE = 32;

/**
 * The pixels of a picture; EXIF orientation is applied, and what shines through is black.
 *
 * @param {Blob | ImageBitmap} source  a file, or a picture, which is closed
 * @returns {Promise<Pixels>}
 */
export async function loadImage(source) {
  const bitmap = source instanceof Blob ? await decoded(source) : source;
  try {
    return pixelsOf(bitmap);
  } finally {
    bitmap.close();
  }
}

/** @param {Blob} file */
async function decoded(file) {
  if (!file.size) throw new ImageError("expected an image, got an empty file");
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
    });
  } catch (error) {
    const kind = file.type ? `a file of type ${file.type}` : "a file of unknown type";
    throw new ImageError(
      `expected an image that this browser can open, such as JPEG, PNG or WebP, got ${kind}`,
      { cause: error },
    );
  }
}

/** @param {ImageBitmap} bitmap @returns {Pixels} */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) {
    throw new ImageError(
      `expected at most ${MAX_PIXELS} pixels, got ${width} × ${height}: make it smaller first`,
    );
  }
  try {
    const data = new Uint8Array(width * height * 3);
    const rows = Math.min(Math.max(Math.floor(STRIP_PIXELS / width), 1), height);
    const canvas = new OffscreenCanvas(width, rows);
    const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    if (context === null) throw new Error("no canvas");
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top);
      context.fillRect(0, 0, width, count); // black
      context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
      const rgba = context.getImageData(0, 0, width, count).data;
      for (let from = 0, to = top * width * 3; from < rgba.length; from += 4, to += 3) {
        data[to] = rgba[from];
        data[to + 1] = rgba[from + 1];
        data[to + 2] = rgba[from + 2];
      }
    }
    return { data, width, height };
  } catch (error) {
    throw new ImageError(
      `${width} × ${height} pixels do not fit into this browser's memory: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * Scales part of an image by a factor, rounded to whole pixels, into the top left corner of a black
 * canvas whose sides are the next multiples of `multiple`.
 *
 * @param {Pixels} image
 * @param {number[]} region  left, top, right, bottom
 * @param {number} scale
 * @param {number} multiple
 * @returns {{canvas: Pixels, factors: [number, number]}} and the factors from image to canvas
 */
export function onCanvas(image, region, scale, multiple) {
  let [width, height] = [region[2] - region[0], region[3] - region[1]];
  const newWidth = Math.max(round(width * scale), 1);
  const newHeight = Math.max(round(height * scale), 1);
  const canvas = blank(
    Math.ceil(newWidth / multiple) * multiple,
    Math.ceil(newHeight / multiple) * multiple,
  );
  let step = 1;
  for (; scale <= 0.5 && Math.min(width, height) >= THIN_SIDE; scale *= 2, step *= 2) {
    image = halved(image, region);
    ({ width, height } = image);
    region = whole(image);
  }
  resize(image, region, canvas, newWidth, newHeight);
  return { canvas, factors: [newWidth / (step * width), newHeight / (step * height)] };
}

/**
 * The square crop of an image; outside of the image is black.
 *
 * Strong shrinking is done in two steps, an area average and then the warp: bilinear sampling alone
 * would skip pixels.
 *
 * @param {Pixels} image
 * @param {CropTransform} transform
 * @param {Uint8Array} result  size · size · 3 zeros, to write to
 */
export function cropImage(image, { matrix, size }, result) {
  const [a, b, u, c, d, v] = matrix;
  const determinant = a * d - b * c;
  const step = Math.max(Math.trunc(1 / Math.sqrt(determinant)), 1);
  if (step === 1) {
    warp(image, matrix, size, result);
    return;
  }
  const corners = [[-u, -v], [size - u, -v], [-u, size - v], [size - u, size - v]];
  const across = corners.map(([x, y]) => (d * x - b * y) / determinant);
  const down = corners.map(([x, y]) => (a * y - c * x) / determinant);
  /** @param {number} n @param {number} most */
  const within = (n, most) => Math.min(Math.max(n, 0), most);
  const x0 = within(Math.floor(Math.min(...across)), image.width);
  const y0 = within(Math.floor(Math.min(...down)), image.height);
  const columns = Math.floor((within(Math.ceil(Math.max(...across)), image.width) - x0) / step);
  const rows = Math.floor((within(Math.ceil(Math.max(...down)), image.height) - y0) / step);
  if (columns < 1 || rows < 1) return;
  const seen = [x0, y0, x0 + columns * step, y0 + rows * step];
  const region = reduced(image, seen, step);
  // A point p of the region lies at (x0, y0) + step · p in the image.
  warp(
    region,
    [a * step, b * step, a * x0 + b * y0 + u, c * step, d * step, c * x0 + d * y0 + v],
    size,
    result,
  );
}

/**
 * An image through an affine map, bilinear; what lies outside of the image is black.
 *
 * @param {Pixels} image
 * @param {number[]} matrix  a, b, u, c, d, v, from the image's coordinates to the result's
 * @param {number} size  sides of the result
 * @param {Uint8Array} result
 */
function warp({ data, width, height }, [a, b, u, c, d, v], size, result) {
  const determinant = a * d - b * c;
  for (let row = 0, to = 0; row < size; row++) {
    for (let column = 0; column < size; column++, to += 3) {
      const [p, q] = [column + 0.5 - u, row + 0.5 - v];
      const x = (d * p - b * q) / determinant - 0.5;
      const y = (a * q - c * p) / determinant - 0.5;
      const [left, top] = [Math.floor(x), Math.floor(y)];
      if (left < -1 || top < -1 || left >= width || top >= height) continue;
      const [fx, fy] = [x - left, y - top];
      const inLeft = left >= 0;
      const inRight = left + 1 < width;
      const inTop = top >= 0;
      const inBottom = top + 1 < height;
      const at = (top * width + left) * 3;
      const below = at + width * 3;
      for (let channel = 0; channel < 3; channel++) {
        const i = at + channel;
        const j = below + channel;
        const upper =
          (inTop && inLeft ? data[i] * (1 - fx) : 0) + (inTop && inRight ? data[i + 3] * fx : 0);
        const lower =
          (inBottom && inLeft ? data[j] * (1 - fx) : 0) +
          (inBottom && inRight ? data[j + 3] * fx : 0);
        result[to + channel] = upper * (1 - fy) + lower * fy + 0.5;
      }
    }
  }
}

/**
 * `np.rot90(image, turns)`.
 *
 * @param {Pixels} image
 * @param {number} turns  quarters against the clock, 1 to 3
 * @returns {Pixels}
 */
export function rotated(image, turns) {
  const { data, width, height } = image;
  const result = turns === 2 ? blank(width, height) : blank(height, width);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < width; x++, from += 3) {
      const [column, row] =
        turns === 1 ? [y, width - 1 - x]
        : turns === 2 ? [width - 1 - x, height - 1 - y]
        : [height - 1 - y, x];
      const to = (row * result.width + column) * 3;
      result.data[to] = data[from];
      result.data[to + 1] = data[from + 1];
      result.data[to + 2] = data[from + 2];
    }
  }
  return result;
}

/** @param {number} width @param {number} height @returns {Pixels} all black */
const blank = (width, height) => ({ data: new Uint8Array(width * height * 3), width, height });

/** @param {Pixels} image @returns {number[]} the region that is all of it */
const whole = ({ width, height }) => [0, 0, width, height];

/**
 * Means over squares of `step` pixels, which is a divisor of both sides.
 *
 * @param {Pixels} image
 * @param {number[]} region  left, top, right, bottom
 * @param {number} step  from 2 on
 * @returns {Pixels}
 */
function reduced(image, region, step) {
  for (; step % 2 === 0; step /= 2) {
    image = halved(image, region);
    region = whole(image);
  }
  if (step === 1) return image;
  const result = blank((region[2] - region[0]) / step, (region[3] - region[1]) / step);
  shrink(image, region, result, result.width, result.height);
  return result;
}

/**
 * Each pixel is the mean of four; a last row or column without a partner comes twice.
 *
 * @param {Pixels} image
 * @param {number[]} region  left, top, right, bottom
 * @param {Pixels} [result]  whose top left corner takes it, instead of a new one
 * @returns {Pixels}
 */
function halved({ data, width }, [x0, y0, x1, y1], result) {
  const [columns, rows] = [Math.ceil((x1 - x0) / 2), Math.ceil((y1 - y0) / 2)];
  const half = result ?? blank(columns, rows);
  for (let row = 0; row < rows; row++) {
    const y = y0 + 2 * row;
    const upper = (y * width + x0) * 3;
    const lower = (Math.min(y + 1, y1 - 1) * width + x0) * 3;
    let to = row * half.width * 3;
    for (let column = 0; column < columns; column++) {
      const left = 6 * column;
      const right = Math.min(left + 3, (x1 - x0 - 1) * 3);
      for (let channel = 0; channel < 3; channel++) {
        const [a, b] = [left + channel, right + channel];
        half.data[to++] =
          (data[upper + a] + data[upper + b] + data[lower + a] + data[lower + b] + 2) >> 2;
      }
    }
  }
  return half;
}

/**
 * Part of an image into the top left corner of another: enlarged by lines, shrunk by means, or
 * nearly so: not to less than a half, it is enlarged to twice the size that is wanted, and halved.
 *
 * @param {Pixels} image
 * @param {number[]} region  left, top, right, bottom
 * @param {Pixels} result
 * @param {number} columns  of the result to fill
 * @param {number} rows
 */
function resize(image, region, result, columns, rows) {
  const [width, height] = [region[2] - region[0], region[3] - region[1]];
  if (width <= columns && height <= rows) {
    enlarge(image, region, result, columns, rows);
  } else if (width <= 2 * columns && height <= 2 * rows) {
    const twice = blank(2 * columns, 2 * rows);
    enlarge(image, region, twice, twice.width, twice.height);
    halved(twice, whole(twice), result);
  } else {
    shrink(image, region, result, columns, rows);
  }
}

/**
 * Part of an image, made smaller into the top left corner of another: each cell is the mean of what
 * it covers (OpenCV's INTER_AREA).
 *
 * @param {Pixels} image
 * @param {number[]} region  left, top, right, bottom
 * @param {Pixels} result
 * @param {number} columns  of the result to fill
 * @param {number} rows
 */
function shrink({ data, width }, [x0, y0, x1, y1], result, columns, rows) {
  const across = cover(x1 - x0, columns);
  const down = cover(y1 - y0, rows);
  const length = columns * 3;
  const sum = new Float32Array(length);
  const line = new Float32Array(length);
  let lineAt = -1; // neighbouring rows of the result share one of the image
  // Clamped arrays round to the nearest whole number, halves to the even one, as OpenCV does.
  const rounded = new Uint8ClampedArray(result.data.buffer);
  for (let row = 0; row < rows; row++) {
    sum.fill(0);
    for (let t = down.first[row]; t < down.first[row + 1]; t++) {
      if (down.source[t] !== lineAt) {
        lineAt = down.source[t];
        const start = ((y0 + lineAt) * width + x0) * 3;
        for (let column = 0; column < columns; column++) {
          let [red, green, blue] = [0, 0, 0];
          for (let s = across.first[column]; s < across.first[column + 1]; s++) {
            const at = start + across.source[s] * 3;
            const weight = across.weight[s];
            red += data[at] * weight;
            green += data[at + 1] * weight;
            blue += data[at + 2] * weight;
          }
          line[column * 3] = red;
          line[column * 3 + 1] = green;
          line[column * 3 + 2] = blue;
        }
      }
      const weight = down.weight[t];
      for (let i = 0; i < length; i++) sum[i] += line[i] * weight;
    }
    rounded.set(sum, row * result.width * 3);
  }
}

/**
 * Which source cells each target cell covers, with which weights.
 *
 * @param {number} from
 * @param {number} to  at most `from`
 */
function cover(from, to) {
  const scale = from / to;
  const first = new Int32Array(to + 1);
  const source = [];
  const weight = [];
  for (let target = 0; target < to; target++) {
    const [start, end] = [target * scale, Math.min((target + 1) * scale, from)];
    for (let cell = Math.floor(start); cell < end; cell++) {
      const covered = Math.min(end, cell + 1) - Math.max(start, cell);
      if (covered <= 1e-3) continue;
      source.push(cell);
      weight.push(covered / (end - start));
    }
    first[target + 1] = source.length;
  }
  return { first, source: Int32Array.from(source), weight: Float32Array.from(weight) };
}

/**
 * The same made larger, by lines between the centres of cells (INTER_LINEAR), in OpenCV's whole
 * numbers: weights of 11 bits, and what it cuts off in between.
 *
 * @param {Pixels} image
 * @param {number[]} region  left, top, right, bottom
 * @param {Pixels} result
 * @param {number} columns  of the result to fill
 * @param {number} rows
 */
function enlarge({ data, width }, [x0, y0, x1, y1], result, columns, rows) {
  const across = neighbours(x1 - x0, columns);
  const down = neighbours(y1 - y0, rows, true);
  /** @type {Map<number, Int32Array>} lines that neighbouring rows of the result share */
  const lines = new Map();
  const lineOf = (/** @type {number} */ source) => {
    const known = lines.get(source);
    if (known) return known;
    const line = new Int32Array(columns * 3);
    const start = ((y0 + source) * width + x0) * 3;
    for (let column = 0; column < columns; column++) {
      const { source: left, next: right, weight } = across[column];
      for (let channel = 0; channel < 3; channel++) {
        const [a, b] = [data[start + left * 3 + channel], data[start + right * 3 + channel]];
        line[column * 3 + channel] = (a * (ONE - weight) + b * weight) >> 4;
      }
    }
    if (lines.size > 1) lines.delete(/** @type {number} */ (lines.keys().next().value));
    lines.set(source, line);
    return line;
  };
  for (let row = 0; row < rows; row++) {
    const { source, next, weight } = down[row];
    const [upper, lower] = [lineOf(source), lineOf(next)];
    const to = row * result.width * 3;
    for (let i = 0; i < upper.length; i++) {
      const sum = ((upper[i] * (ONE - weight)) >> 16) + ((lower[i] * weight) >> 16);
      result.data[to + i] = (sum + 2) >> 2;
    }
  }
}

const ONE = 2048;

/**
 * The two source cells that each target cell lies between, and the weight of the second of 2048.
 *
 * Beyond the first and last centre both are the outermost cell; OpenCV then weighs it once across,
 * and twice down, which is not the same after what it cuts off.
 *
 * @param {number} from
 * @param {number} to
 * @param {boolean} [down]
 */
function neighbours(from, to, down = false) {
  return Array.from({ length: to }, (_, target) => {
    const place = Math.fround(((target + 0.5) * from) / to - 0.5);
    const cell = Math.floor(place);
    const within = cell >= 0 && cell < from - 1;
    const weight = within || down ? round(Math.fround(place - cell) * ONE) : 0;
    const last = from - 1;
    return { source: clip(cell, 0, last), next: clip(cell + 1, 0, last), weight };
  });
}
