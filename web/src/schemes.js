/** The layout of the 68 points of 300W (iBUG): asmnet/schemes.py's IBUG_68. */

/** @import { Point } from "./types.js" */

/** @param {number} first @param {number} last @returns {number[]} */
const run = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** The points by the part of the face; right and left are the subject's. */
export const GROUPS = {
  jaw: run(0, 16),
  right_brow: run(17, 21),
  left_brow: run(22, 26),
  nose_bridge: run(27, 30),
  nostrils: run(31, 35),
  right_eye: run(36, 41),
  left_eye: run(42, 47),
  outer_lip: run(48, 59),
  inner_lip: run(60, 67),
};
const CLOSED = new Set(["right_eye", "left_eye", "outer_lip", "inner_lip"]);

/** The lines to draw: indices of points; closed ones return to their first. */
export const OUTLINES = Object.entries(GROUPS).map(([name, indices]) =>
  CLOSED.has(name) ? [...indices, indices[0]] : indices,
);

/**
 * The detector's five key points of a face.
 *
 * @param {Point[]} landmarks  68
 * @returns {Point[]}
 */
export function keypointsOf(landmarks) {
  /** @param {number[]} indices @returns {Point} */
  const centre = (indices) => {
    const [x, y] = indices.reduce((s, i) => [s[0] + landmarks[i][0], s[1] + landmarks[i][1]], [0, 0]);
    return [x / indices.length, y / indices.length];
  };
  return [
    centre(GROUPS.right_eye), centre(GROUPS.left_eye), landmarks[30], landmarks[48], landmarks[54],
  ];
}
