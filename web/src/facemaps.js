/** The format of the detector's network: asmnet/facemaps.py in JavaScript. */

/** @import { Box, Candidate, Pixels, Point } from "./types.js" */
/** @import { Output } from "./session.js" */

import { clip } from "./geometry.js";
import { onCanvas } from "./image.js";

export const STRIDES = [8, 16, 32];

/**
 * Part of an image as the network takes it, and the factors to it.
 *
 * @param {Pixels} image
 * @param {number[]} region  left, top, right, bottom
 * @param {number} scale
 */
export const prepare = (image, region, scale) => onCanvas(image, region, scale, STRIDES[2]);

/**
 * The network's maps of one image to candidates in input pixels, before suppression.
 *
 * @param {Output[]} maps
 * @param {number} minScore  cells below are dropped
 * @returns {Candidate[]}
 */
export function decode(maps, minScore) {
  const found = [];
  for (const [level, stride] of STRIDES.entries()) {
    const { data, dims } = maps[level];
    const [rows, columns] = [dims[2], dims[3]];
    const plane = rows * columns;
    for (let cell = 0; cell < plane; cell++) {
      const score = 1 / (1 + Math.exp(-data[cell]));
      if (!(score >= minScore)) continue;
      /** @param {number} channel */
      const raw = (channel) => data[channel * plane + cell];
      const x = ((cell % columns) + 0.5) * stride;
      const y = (Math.floor(cell / columns) + 0.5) * stride;
      const [cx, cy] = [x + raw(1) * stride, y + raw(2) * stride];
      const half = [3, 4].map((channel) => Math.exp(clip(raw(channel), -6, 6)) * 2 * stride);
      found.push({
        box: /** @type {Box} */ ([cx - half[0], cy - half[1], cx + half[0], cy + half[1]]),
        score,
        keypoints: [5, 7, 9, 11, 13].map(
          (i) => /** @type {Point} */ ([x + raw(i) * 2 * stride, y + raw(i + 1) * 2 * stride]),
        ),
      });
    }
  }
  return found;
}

/**
 * The last map: logits of whether a cell holds a face that is too small to tell.
 *
 * @param {Output[]} maps
 */
export const smallFaceLogits = (maps) => maps[STRIDES.length];
