/** Boxes, crops and rotations: asmnet/geometry.py in JavaScript, with the same frames. */

/** @import { Box, Point, Rotation } from "./types.js" */

/** Key points of an upright frontal face, in units of the box of its 68 points. */
export const UPRIGHT_KEYPOINTS = /** @type {Point[]} */ ([
  [0.286, 0.197], [0.714, 0.197], [0.5, 0.444], [0.312, 0.663], [0.688, 0.663],
]);

const DEGREE = Math.PI / 180;

/** @param {number} value @param {number} least @param {number} most */
export const clip = (value, least, most) => Math.min(Math.max(value, least), most);

/**
 * To the nearest whole number, halves to the even one, as Python's `round`.
 *
 * @param {number} value
 */
export function round(value) {
  const below = Math.floor(value);
  const part = value - below;
  if (part !== 0.5) return part < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** @param {Box} box @returns {number} */
export const longerSide = (box) => Math.max(box[2] - box[0], box[3] - box[1]);

/**
 * Intersection over union.
 *
 * @param {Box} a
 * @param {Box} b
 */
export function boxIou(a, b) {
  const width = Math.max(Math.min(a[2], b[2]) - Math.max(a[0], b[0]), 0);
  const height = Math.max(Math.min(a[3], b[3]) - Math.max(a[1], b[1]), 0);
  const area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height;
  return (width * height) / Math.max(area, 1e-9);
}

/**
 * Indices of the boxes to keep, best score first: a box goes when it overlaps a better one by more.
 *
 * @param {Box[]} boxes
 * @param {number[]} scores
 * @param {number} iouThreshold
 */
export function nonMaximumSuppression(boxes, scores, iouThreshold) {
  let left = boxes.map((_, i) => i).sort((i, j) => scores[j] - scores[i]);
  const kept = [];
  while (left.length) {
    const best = left[0];
    kept.push(best);
    left = left.slice(1).filter((i) => !(boxIou(boxes[best], boxes[i]) > iouThreshold));
  }
  return kept;
}

/** @param {Point[]} points @returns {Box} the tight box */
export function pointsBox(points) {
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** @param {Point[]} points @returns {Point} */
export function mean(points) {
  const sum = points.reduce(([x, y], p) => [x + p[0], y + p[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/**
 * The least-squares similarity between points: rotation, one scale and shift.
 *
 * @param {Point[]} source
 * @param {Point[]} target
 * @param {number[]} [weights]  of the points; all the same unless given
 * @returns {{cos: number, sin: number, shift: Point}} (x, y) goes to
 *   (cos · x − sin · y, sin · x + cos · y) + shift
 */
export function similarity(source, target, weights = source.map(() => 1)) {
  const total = weights.reduce((a, b) => a + b, 0);
  /** @param {Point[]} points @returns {Point} */
  const middleOf = (points) => {
    let [x, y] = [0, 0];
    points.forEach((p, i) => {
      x += (weights[i] / total) * p[0];
      y += (weights[i] / total) * p[1];
    });
    return [x, y];
  };
  const centre = middleOf(source);
  const middle = middleOf(target);
  let [spread, cos, sin] = [0, 0, 0];
  source.forEach((p, i) => {
    const share = weights[i] / total;
    const [ax, ay] = [p[0] - centre[0], p[1] - centre[1]];
    const [bx, by] = [target[i][0] - middle[0], target[i][1] - middle[1]];
    spread += share * (ax * ax + ay * ay);
    cos += share * (ax * bx + ay * by);
    sin += share * (ax * by - ay * bx);
  });
  spread = Math.max(spread, Number.MIN_VALUE);
  [cos, sin] = [cos / spread, sin / spread];
  const shift = /** @type {Point} */ ([
    middle[0] - (cos * centre[0] - sin * centre[1]),
    middle[1] - (sin * centre[0] + cos * centre[1]),
  ]);
  return { cos, sin, shift };
}

/**
 * In-plane rotation of a face in degrees, clockwise for the viewer.
 *
 * @param {Point[]} keypoints  five
 */
export function uprightAngle(keypoints) {
  const { cos, sin } = similarity(UPRIGHT_KEYPOINTS, keypoints);
  return Math.atan2(sin, cos) / DEGREE;
}

/**
 * Pairs of rows and columns, highest value first, each above `least`.
 *
 * @param {number[][]} values
 * @param {number} least
 * @returns {Map<number, number>}
 */
export function matchGreedily(values, least) {
  const all = values.flatMap((row, i) => row.map((value, j) => ({ value, i, j })));
  const pairs = new Map();
  const taken = new Set();
  for (const { value, i, j } of all.sort((a, b) => b.value - a.value)) {
    if (value > least && !pairs.has(i) && !taken.has(j)) {
      pairs.set(i, j);
      taken.add(j);
    }
  }
  return pairs;
}

/** The way from image pixels to pixels of a square crop and back. */
export class CropTransform {
  /**
   * @param {[number, number, number, number, number, number]} matrix  a, b, u, c, d, v: (x, y) goes
   *   to (a · x + b · y + u, c · x + d · y + v)
   * @param {number} size  side of the crop
   */
  constructor(matrix, size) {
    this.matrix = matrix;
    this.size = size;
  }

  /**
   * @param {Box} bbox
   * @param {number} size  side of the crop in pixels
   * @param {number} margin  side of the square in the image, in units of the box's longer side
   * @param {number} [angle]  clockwise rotation of the face in degrees; the crop undoes it
   */
  static fromBbox(bbox, size, margin, angle = 0) {
    const scale = size / (margin * longerSide(bbox));
    const cos = scale * Math.cos(angle * DEGREE);
    const sin = scale * Math.sin(angle * DEGREE);
    const [x, y] = [(bbox[0] + bbox[2]) / 2, (bbox[1] + bbox[3]) / 2];
    const [u, v] = [size / 2 - (cos * x + sin * y), size / 2 - (-sin * x + cos * y)];
    return new CropTransform([cos, sin, u, -sin, cos, v], size);
  }

  /** @param {Point} point  of the crop @returns {Point} of the image */
  invert([x, y]) {
    const [a, b, u, c, d, v] = this.matrix;
    const determinant = a * d - b * c;
    return [
      (d * (x - u) - b * (y - v)) / determinant,
      (a * (y - v) - c * (x - u)) / determinant,
    ];
  }
}

/** @param {Rotation} a @param {Rotation} b @returns {Rotation} */
export function product(a, b) {
  return /** @type {Rotation} */ (
    a.map((row) => [0, 1, 2].map((j) => row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]))
  );
}

/** @param {Rotation} m @returns {Rotation} */
export function transposed(m) {
  return /** @type {Rotation} */ ([0, 1, 2].map((i) => [0, 1, 2].map((j) => m[j][i])));
}

/** @param {number} angle  degrees @returns {Rotation} that turns a head clockwise */
export function rollMatrix(angle) {
  const [cos, sin] = [Math.cos(angle * DEGREE), Math.sin(angle * DEGREE)];
  return [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]];
}

/**
 * The head's pose of a rotation.
 *
 * @param {Rotation} r
 * @returns {import("./types.js").HeadPose}
 */
export function poseOf(r) {
  return {
    pitch: Math.atan2(r[1][2], r[2][2]) / DEGREE,
    yaw: Math.asin(clip(-r[0][2], -1, 1)) / DEGREE,
    roll: Math.atan2(r[0][1], r[0][0]) / DEGREE,
    rotation: /** @type {Rotation} */ (r.map((row) => row.map(Math.fround))),
  };
}

/**
 * The rotation vector of a rotation.
 *
 * @param {Rotation} r
 * @returns {[number, number, number]} axis times angle in radians
 */
export function rotationVector(r) {
  const axis = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]];
  const sin = Math.hypot(...axis) / 2;
  const cos = clip((r[0][0] + r[1][1] + r[2][2] - 1) / 2, -1, 1);
  const angle = Math.atan2(sin, cos);
  // Towards 180° the axis cannot be read there; heads do not rotate so far from frame to frame.
  const factor = sin > 1e-9 ? angle / (2 * sin) : 0.5;
  return [axis[0] * factor, axis[1] * factor, axis[2] * factor];
}

/** @param {number[]} vector  axis times angle @returns {Rotation} */
export function rotationFrom(vector) {
  const angle = Math.hypot(...vector);
  if (angle < 1e-12) return [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  const [x, y, z] = vector.map((value) => value / angle);
  const [c, s, t] = [Math.cos(angle), Math.sin(angle), 1 - Math.cos(angle)];
  return [
    [c + t * x * x, t * x * y - s * z, t * x * z + s * y],
    [t * x * y + s * z, c + t * y * y, t * y * z - s * x],
    [t * x * z - s * y, t * y * z + s * x, c + t * z * z],
  ];
}
