/** Where the faces are: asmnet/detector.py in JavaScript, with the verifier, without tiles. */

/** @import { Box, Candidate, Pixels, Point } from "./types.js" */
/** @import { Region } from "./regions.js" */
/** @import { OnnxSession } from "./session.js" */
/** @import { FaceVerifier } from "./verifier.js" */

import * as facemaps from "./facemaps.js";
import { clip, longerSide, nonMaximumSuppression } from "./geometry.js";
import { onCanvas, rotated } from "./image.js";
import { closerRegions } from "./regions.js";
import { faceProbability } from "./verifier.js";

export const DEFAULT_MIN_SCORE = 0.55;
/** The photo's longer side in the finest pass, in pixels. */
export const DEFAULT_SIDE = 1280;

const NMS_IOU = 0.4;
const CANDIDATE_SCORE = 0.5;
const FIRST_SIDE = 320;
const MAX_ENLARGEMENT = 2;
// A box that ends so near the border of what was looked at, in pixels of that look, is cut off.
const CUT_EDGE = 2;
// Up to this side of a face its box is the verifier's; of larger ones a mean.
const VERIFIED_SIDE = 28;
const LEAST_SHARE = 0.25;
// An image is upright where its good faces together are so sure; else a turned one must be surer.
const GOOD_SCORE = 0.85;
const SURE_SCORE = 0.99;
const TURNED_SCORE = 0.7;

/** Finds faces. */
export class FaceDetector {
  #session;
  #verifier;
  #inputSize;
  #rotatedRetry;

  /**
   * @param {OnnxSession} session
   * @param {FaceVerifier} verifier
   * @param {object} options
   * @param {number} options.inputSize  longer side of the image in the finest pass
   * @param {boolean} options.rotatedRetry  look at the image turned by quarters where no face is sure
   */
  constructor(session, verifier, { inputSize, rotatedRetry }) {
    session.requireTask("detection");
    this.#session = session;
    this.#verifier = verifier;
    this.#inputSize = inputSize;
    this.#rotatedRetry = rotatedRetry;
  }

  /**
   * The faces of an image, best score first.
   *
   * @param {Pixels} pixels
   * @param {number} minScore
   * @returns {Promise<Candidate[]>}
   */
  async detect(pixels, minScore) {
    const found = await this.#find(pixels, minScore);
    if (!this.#rotatedRetry) return found;
    const surest = Math.max(0, ...found.map((face) => face.score));
    const good = found.filter((face) => face.score >= GOOD_SCORE);
    const upright = 1 - good.reduce((doubt, face) => doubt * (1 - face.score), 1);
    if (upright >= SURE_SCORE) return found;
    const turns = await this.#bestTurns(pixels, surest);
    return turns ? this.#findTurned(pixels, turns, minScore) : found;
  }

  /**
   * The verifier's look at boxes.
   *
   * @param {Pixels} pixels
   * @param {Box[]} boxes
   */
  verify(pixels, boxes) {
    return this.#verifier.look(pixels, boxes);
  }

  /** @param {Pixels} pixels @param {number} minScore */
  async #find(pixels, minScore) {
    return this.#verified(pixels, await this.#candidates(pixels), minScore);
  }

  /**
   * What the detector takes for faces: a pass over the whole, zoomed ones where it asks for them.
   *
   * @param {Pixels} pixels
   */
  async #candidates(pixels) {
    const { width, height } = pixels;
    const longer = Math.max(width, height);
    const limit = Math.min(this.#inputSize, MAX_ENLARGEMENT * longer);
    let side = Math.min(FIRST_SIDE, this.#inputSize);
    /** @type {Region[]} */
    let regions = [[0, 0, width, height]];
    const found = [];
    for (;;) {
      /** @type {Region[]} */
      const closer = [];
      for (const region of regions) {
        const look = await this.#look(pixels, region, side / longer, CANDIDATE_SCORE);
        found.push(...look.faces);
        closer.push(...look.closer);
      }
      if (!closer.length || side >= limit) break;
      regions = closer;
      side = Math.min(2 * side, limit);
    }
    return suppressed(found);
  }

  /**
   * Those that the verifier takes for faces, drawn anew; best first.
   *
   * @param {Pixels} pixels
   * @param {Candidate[]} found
   * @param {number} minScore
   */
  async #verified(pixels, found, minScore) {
    const looks = await this.#verifier.look(pixels, found.map((face) => face.box));
    const drawn = found.map((face, i) => {
      const side = longerSide(face.box);
      const share = clip(VERIFIED_SIDE / Math.max(side, 1), LEAST_SHARE, 1);
      return {
        box: /** @type {Box} */ (face.box.map((v, k) => (1 - share) * v + share * looks[i].box[k])),
        score: faceProbability(face.score, looks[i].score, side, this.#verifier.scoreWeights),
        keypoints: looks[i].keypoints,
      };
    });
    return suppressed(drawn).filter((face) => face.score >= minScore);
  }

  /**
   * How many quarters show a surer face than the upright image; 0 if none.
   *
   * @param {Pixels} pixels
   * @param {number} surest
   */
  async #bestTurns(pixels, surest) {
    const { width, height } = pixels;
    const scale = Math.min(FIRST_SIDE, this.#inputSize) / Math.max(width, height);
    const { canvas: small } = onCanvas(pixels, [0, 0, width, height], scale, 1);
    let [best, turns] = [surest, 0];
    for (const quarters of [1, 2, 3]) {
      const turned = rotated(small, quarters);
      const look = await this.#look(turned, [0, 0, turned.width, turned.height], 1, CANDIDATE_SCORE);
      const found = await this.#verified(turned, look.faces, TURNED_SCORE);
      if (found.length && found[0].score > best) [best, turns] = [found[0].score, quarters];
    }
    return turns;
  }

  /**
   * The faces of an image after a turn, in the image's own pixels.
   *
   * @param {Pixels} pixels
   * @param {number} turns
   * @param {number} minScore
   */
  async #findTurned(pixels, turns, minScore) {
    const { width, height } = pixels;
    const found = await this.#find(rotated(pixels, turns), minScore);
    /** @param {Point} point @returns {Point} */
    const back = ([x, y]) =>
      turns === 1 ? [width - y, x] : turns === 2 ? [width - x, height - y] : [y, height - x];
    return found.map(({ box: [x0, y0, x1, y1], score, keypoints }) => {
      const [[ax, ay], [bx, by]] = [back([x0, y0]), back([x1, y1])];
      return {
        box: /** @type {Box} */ ([
          Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by),
        ]),
        score,
        keypoints: keypoints.map(back),
      };
    });
  }

  /**
   * What one run sees in a part of the image at a scale.
   *
   * @param {Pixels} pixels
   * @param {Region} region
   * @param {number} scale
   * @param {number} minScore
   */
  async #look(pixels, region, scale, minScore) {
    const { canvas, factors } = facemaps.prepare(pixels, region, scale);
    const maps = [...(await this.#session.run(canvas.data, 1, canvas)).values()];
    const corner = [region[0], region[1]];
    const inner = [
      region[0] > 0, region[1] > 0, region[2] < pixels.width, region[3] < pixels.height,
    ];
    const faces = facemaps
      .decode(maps, minScore)
      .map(({ box, score, keypoints }) => ({
        box: /** @type {Box} */ (box.map((v, k) => v / factors[k % 2] + corner[k % 2])),
        score,
        keypoints: keypoints.map(
          ([x, y]) => /** @type {Point} */ ([x / factors[0] + corner[0], y / factors[1] + corner[1]]),
        ),
      }))
      .filter(({ box }) =>
        box.every((v, k) => {
          const within = k < 2 ? v - region[k] : region[k] - v;
          return !(inner[k] && within * factors[k % 2] < CUT_EDGE);
        }),
      );
    const small = facemaps.smallFaceLogits(maps);
    return { faces, closer: closerRegions(small, facemaps.STRIDES[0], factors, region) };
  }
}

/**
 * What several looks have found, each face once, best first.
 *
 * @param {Candidate[]} found
 */
function suppressed(found) {
  const boxes = found.map((face) => face.box);
  const scores = found.map((face) => face.score);
  return nonMaximumSuppression(boxes, scores, NMS_IOU).map((i) => found[i]);
}
