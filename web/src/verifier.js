/** Checks the places that the detector took for faces, enlarged: asmnet/verifier.py. */

/** @import { Box, Candidate, Pixels } from "./types.js" */
/** @import { OnnxSession } from "./session.js" */

import { WeightsError } from "./errors.js";
import { CropTransform, clip } from "./geometry.js";
import { cropImage } from "./image.js";

// The log odds that a place is a face: weights of the logits of the detector's and the verifier's
// score and of the face's smallness, and a constant; unless the verifier's file has its own.
const WEIGHTS = [1.35, 0.67, 0.25, -2.37];
const LARGE_SIDE = 28;
const MAX_SMALLNESS = 2;
const MAX_LOGIT = 6;
const BATCH = 64;

/** Tells which boxes show a face, and draws them anew. */
export class FaceVerifier {
  #session;
  #size;
  #margin;

  /** @param {OnnxSession} session */
  constructor(session) {
    session.requireTask("verification");
    this.#session = session;
    ({ size: this.#size, margin: this.#margin } = session.cropFormat());
    const own = session.metadata.get("score_weights");
    this.scoreWeights = own === undefined ? WEIGHTS : numbers(own);
  }

  /**
   * New boxes, scores and key points.
   *
   * @param {Pixels} pixels
   * @param {Box[]} boxes
   * @returns {Promise<Candidate[]>}
   */
  async look(pixels, boxes) {
    const size = this.#size;
    /** @type {Candidate[]} */
    const found = [];
    for (let start = 0; start < boxes.length; start += BATCH) {
      const part = boxes
        .slice(start, start + BATCH)
        .map((box) => CropTransform.fromBbox(box, size, this.#margin));
      const crops = new Uint8Array(part.length * size * size * 3);
      part.forEach((transform, i) => {
        cropImage(pixels, transform, crops.subarray(i * size * size * 3, (i + 1) * size * size * 3));
      });
      const outputs = await this.#session.run(crops, part.length, { width: size, height: size });
      const [score, box, points] = [...outputs.values()].map((output) => output.data);
      part.forEach((transform, i) => {
        const corners = [0, 2].map((k) => transform.invert([box[4 * i + k], box[4 * i + k + 1]]));
        found.push({
          box: /** @type {Box} */ (corners.flat()),
          score: score[i],
          keypoints: [0, 2, 4, 6, 8].map((k) =>
            transform.invert([points[10 * i + k], points[10 * i + k + 1]]),
          ),
        });
      });
    }
    return found;
  }
}

/**
 * The chance that a place is a face.
 *
 * @param {number} score  of the detector
 * @param {number} verified  of the verifier
 * @param {number} side  longer side of the box in pixels
 * @param {number[]} weights  the verifier's `scoreWeights`
 */
export function faceProbability(score, verified, side, weights) {
  const smallness = clip(Math.log2(LARGE_SIDE / Math.max(side, 1)), 0, MAX_SMALLNESS);
  const odds =
    weights[0] * logit(score) + weights[1] * logit(verified) + weights[2] * smallness + weights[3];
  return 1 / (1 + Math.exp(-odds));
}

/** @param {string} text  of a file's metadata */
function numbers(text) {
  const values = text.split(",").map(Number);
  if (values.length !== WEIGHTS.length || !values.every(Number.isFinite)) {
    throw new WeightsError(
      `verifier: expected ${WEIGHTS.length} numbers as metadata score_weights, got "${text}"`,
    );
  }
  return values;
}

/** @param {number} probability @returns {number} log odds, within ±6 */
function logit(probability) {
  const clipped = clip(probability, 1e-9, 1 - 1e-9);
  return clip(Math.log(clipped / (1 - clipped)), -MAX_LOGIT, MAX_LOGIT);
}
