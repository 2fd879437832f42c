/** Smoothing over time, the One Euro filter: asmnet/tracking/one_euro.py with its defaults. */

/** @import { Point, Rotation } from "./types.js" */

import {
  clip, longerSide, pointsBox, product, rotationFrom, similarity, transposed, rotationVector,
} from "./geometry.js";
import { GROUPS } from "./schemes.js";

// Cutoffs in Hz; the factors are for face sizes (radians) a second.
const MIN_CUTOFF = 1;
const BETA = 80;
const LOCAL_BETA = 120;
const ROTATION_BETA = 40;
const SPEED_CUTOFF = 6;
const NOISE_CUTOFF = 0.5;
// A point without any confidence still follows slowly.
const MIN_CONFIDENCE = 0.1;

const PARTS = Object.values(GROUPS);

/**
 * Share of the new value in an exponential filter.
 *
 * @param {number} cutoff  Hz
 * @param {number} step  seconds
 */
export const smoothingFactor = (cutoff, step) => 1 / (1 + 1 / (2 * Math.PI * cutoff * step));

/** Of one face's points: their common motion and the motion within the face, each by its speed. */
export class PointsFilter {
  /** @type {Point[] | null} */
  #raw = null;
  /** @type {Point[]} */
  #smooth = [];
  // Nothing of the common motion is taken for noise.
  #speed = new Speed([...PARTS.map(() => 2), 0]);

  /**
   * @param {Point[]} points  `step` seconds after the last ones
   * @param {number} step
   * @param {number[] | null} confidence
   * @returns {Point[]} smoothed; the first pass as they are
   */
  next(points, step, confidence) {
    if (this.#raw === null) {
      this.#raw = this.#smooth = points;
      return points;
    }
    const weights = points.map((_, i) => clip(confidence?.[i] ?? 1, MIN_CONFIDENCE, 1));
    const size = Math.max(longerSide(pointsBox(points)), 1e-6);
    const every = points.map((_, i) => i);
    const moves = split(difference(points, this.#raw), this.#raw, weights);
    /** @param {number[]} velocity  of common and local motion, one after the other */
    const energies = (velocity) => [
      ...PARTS.map((part) => energy(velocity, points.length, part, weights)),
      energy(velocity, 0, every, weights),
    ];
    const velocity = [...moves.common, ...moves.local].flat().map((v) => v / (size * step));
    const speeds = this.#speed.next(velocity, step, energies);
    const ahead = split(difference(points, this.#smooth), this.#smooth, weights);
    const common = smoothingFactor(MIN_CUTOFF + BETA * speeds[PARTS.length], step);
    const local = points.map(() => 0);
    PARTS.forEach((part, k) => {
      for (const i of part) {
        local[i] = smoothingFactor((MIN_CUTOFF + LOCAL_BETA * speeds[k]) * weights[i], step);
      }
    });
    this.#smooth = this.#smooth.map(([x, y], i) => [
      x + common * ahead.common[i][0] + local[i] * ahead.local[i][0],
      y + common * ahead.common[i][1] + local[i] * ahead.local[i][1],
    ]);
    this.#raw = points;
    return this.#smooth;
  }
}

/** Of one head's rotation, along the shortest rotation to each new one. */
export class RotationFilter {
  /** @type {Rotation | null} */
  #raw = null;
  /** @type {Rotation} */
  #smooth = rotationFrom([0, 0, 0]);
  #speed = new Speed([1]);

  /** @param {Rotation} rotation @param {number} step @returns {Rotation} */
  next(rotation, step) {
    if (this.#raw === null) {
      this.#raw = this.#smooth = rotation;
      return rotation;
    }
    const velocity = vectorBetween(this.#raw, rotation).map((v) => v / step);
    const [speed] = this.#speed.next(velocity, step, (v) => [v.reduce((s, x) => s + x * x, 0)]);
    const share = smoothingFactor(MIN_CUTOFF + ROTATION_BETA * speed, step);
    const part = vectorBetween(this.#smooth, rotation).map((v) => v * share);
    this.#smooth = product(rotationFrom(part), this.#smooth);
    this.#raw = rotation;
    return this.#smooth;
  }
}

/** Speeds for the cutoffs: low-passed velocities, less what noise alone would give. */
class Speed {
  #margins;
  /** @type {number[] | null} */
  #last = null;
  /** @type {number[]} */
  #slow = [];
  #noise;

  /** @param {number[]} margins  of each speed, multiply its noise */
  constructor(margins) {
    this.#margins = margins;
    this.#noise = margins.map(() => 0);
  }

  /**
   * @param {number[]} velocity
   * @param {number} step
   * @param {(velocity: number[]) => number[]} energies  mean squares, one for each speed
   */
  next(velocity, step, energies) {
    const share = smoothingFactor(SPEED_CUTOFF, step);
    this.#slow = velocity.map((v, i) => {
      const slow = this.#slow[i] ?? 0;
      return slow + share * (v - slow);
    });
    const last = this.#last;
    if (last !== null) {
      const noise = energies(velocity.map((v, i) => v - last[i]));
      const factor = smoothingFactor(NOISE_CUTOFF, step);
      this.#noise = this.#noise.map((n, k) => n + factor * (noise[k] / 3 - n));
    }
    this.#last = velocity;
    return energies(this.#slow).map((e, k) => {
      // What of the noise's energy passes the filter; never all of it.
      const passing = Math.min((this.#margins[k] * share ** 2) / (2 - share), 0.5);
      return Math.sqrt(Math.max(e - passing * this.#noise[k], 0));
    });
  }
}

/**
 * Weighted mean square of some points' velocities.
 *
 * @param {number[]} velocity  x, y of each point
 * @param {number} first  point in it that is number 0
 * @param {number[]} part
 * @param {number[]} weights
 */
function energy(velocity, first, part, weights) {
  let [sum, total] = [0, 0];
  for (const i of part) {
    const [x, y] = [velocity[2 * (first + i)], velocity[2 * (first + i) + 1]];
    sum += weights[i] * (x * x + y * y);
    total += weights[i];
  }
  return sum / total;
}

/** @param {Point[]} a @param {Point[]} b @returns {Point[]} */
const difference = (a, b) => a.map(([x, y], i) => [x - b[i][0], y - b[i][1]]);

/**
 * Moves of points into what a similarity transform explains, and the rest.
 *
 * @param {Point[]} moves
 * @param {Point[]} points
 * @param {number[]} weights
 */
function split(moves, points, weights) {
  const moved = points.map(([x, y], i) => /** @type {Point} */ ([x + moves[i][0], y + moves[i][1]]));
  const { cos, sin, shift } = similarity(points, moved, weights);
  const common = points.map(
    ([x, y]) =>
      /** @type {Point} */ ([cos * x - sin * y + shift[0] - x, sin * x + cos * y + shift[1] - y]),
  );
  return { common, local: difference(moves, common) };
}

/** @param {Rotation} start @param {Rotation} end */
const vectorBetween = (start, end) => rotationVector(product(end, transposed(start)));
