/** Boxes to landmarks and head pose: asmnet/landmarker.py in JavaScript. */

/** @import { Box, Face, Pixels, Point, Rotation } from "./types.js" */
/** @import { OnnxSession } from "./session.js" */

import { WeightsError } from "./errors.js";
import {
  CropTransform, boxIou, longerSide, pointsBox, poseOf, product, rollMatrix, uprightAngle,
} from "./geometry.js";
import { cropImage } from "./image.js";
import { keypointsOf } from "./schemes.js";

const SCHEME = "ibug68";
// A refinement pass follows where the points show another box or rotation than the first crop had.
const GOOD_OVERLAP = 0.8;
const LEAST_OVERLAP = 0.2;
const GOOD_ROTATION = 15; // degrees
// A box that shows no face is tried at other angles.
const POOR_PRESENCE = 0.5;
const GOOD_PRESENCE = 0.9;
const RETRY_ANGLES = [-75, 75]; // degrees
// Points of smaller boxes are too rough to tell whether another crop would be better.
const MIN_REFINED_SIDE = 24;

/** Places landmarks and estimates the head's pose in given boxes. */
export class FaceLandmarker {
  #session;
  #size;
  #margin;

  /** @param {OnnxSession} session */
  constructor(session) {
    session.requireTask("landmarks");
    const scheme = session.metadata.get("scheme");
    if (scheme !== SCHEME) {
      throw new WeightsError(`landmarks: expected weights of scheme ${SCHEME}, got ${scheme}`);
    }
    this.#session = session;
    ({ size: this.#size, margin: this.#margin } = session.cropFormat());
  }

  /**
   * One face per box, in the boxes' order.
   *
   * @param {Pixels} pixels
   * @param {{box: Box, keypoints: Point[]}[]} places  crops are made upright by the key points
   * @returns {Promise<Face[]>}
   */
  async predict(pixels, places) {
    if (!places.length) return [];
    const boxes = places.map((place) => place.box);
    const angles = places.map((place) => uprightAngle(place.keypoints));
    const faces = await this.#run(pixels, boxes, angles);
    await this.#rotatedRetry(pixels, boxes, angles, faces);
    const again = faces.flatMap((face, i) => {
      const crop = betterCrop(face, angles[i]);
      return crop === null ? [] : [{ i, ...crop }];
    });
    if (again.length) {
      const second = await this.#run(
        pixels, again.map((crop) => crop.box), again.map((crop) => crop.angle),
      );
      again.forEach(({ i }, k) => {
        faces[i] = { ...second[k], bbox: faces[i].bbox, presence: faces[i].presence };
      });
    }
    return faces;
  }

  /**
   * Tries boxes that show no face at other angles; better ones go into `angles` and `faces`.
   *
   * @param {Pixels} pixels
   * @param {Box[]} boxes
   * @param {number[]} angles
   * @param {Face[]} faces
   */
  async #rotatedRetry(pixels, boxes, angles, faces) {
    const lost = faces.flatMap(({ presence, bbox }, i) =>
      presence !== null && presence < POOR_PRESENCE && longerSide(bbox) >= MIN_REFINED_SIDE ? [i] : [],
    );
    if (!lost.length) return;
    const told = lost.map((i) => angles[i]);
    for (const change of RETRY_ANGLES) {
      const rotated = told.map((angle) => angle + change);
      const retried = await this.#run(pixels, lost.map((i) => boxes[i]), rotated);
      lost.forEach((i, k) => {
        if ((retried[k].presence ?? 0) > Math.max(GOOD_PRESENCE, faces[i].presence ?? 0)) {
          [angles[i], faces[i]] = [rotated[k], retried[k]];
        }
      });
    }
  }

  /**
   * The faces in crops of these boxes, made upright by these angles in degrees.
   *
   * @param {Pixels} pixels
   * @param {Box[]} boxes
   * @param {number[]} angles
   * @returns {Promise<Face[]>}
   */
  async #run(pixels, boxes, angles) {
    const size = this.#size;
    const length = size * size * 3;
    const transforms = boxes.map((box, i) =>
      CropTransform.fromBbox(box, size, this.#margin, angles[i]),
    );
    const crops = new Uint8Array(boxes.length * length);
    transforms.forEach((transform, i) => {
      cropImage(pixels, transform, crops.subarray(i * length, (i + 1) * length));
    });
    const outputs = await this.#session.run(crops, boxes.length, { width: size, height: size });
    const part = (/** @type {string} */ name, /** @type {number} */ i) => {
      const output = outputs.get(name);
      if (output === undefined) return null;
      const count = output.data.length / boxes.length;
      return Array.from(output.data.subarray(i * count, (i + 1) * count));
    };
    return boxes.map((box, i) => {
      const points = part("landmarks", i) ?? [];
      const r = part("rotation", i) ?? [];
      const rotation = /** @type {Rotation} */ ([r.slice(0, 3), r.slice(3, 6), r.slice(6, 9)]);
      const landmarks = [];
      for (let k = 0; k < points.length; k += 2) {
        landmarks.push(single(transforms[i].invert([points[k], points[k + 1]])));
      }
      return {
        bbox: single(box),
        score: null,
        scheme: SCHEME,
        landmarks,
        // The crop was turned by -angle, so the head in the image is turned by +angle.
        pose: poseOf(product(rollMatrix(angles[i]), rotation)),
        confidence: part("confidence", i),
        presence: part("presence", i)?.[0] ?? null,
        track_id: null,
      };
    });
  }
}

/**
 * Numbers that 32 bits hold, as Python's results.
 *
 * @template {number[]} T
 * @param {T} values
 * @returns {T}
 */
export const single = (values) => /** @type {T} */ (values.map(Math.fround));

/**
 * The box and angle that a face's points show, or null if the crop that it had is good.
 *
 * @param {Face} face
 * @param {number} angle
 */
function betterCrop(face, angle) {
  if (longerSide(face.bbox) < MIN_REFINED_SIDE) return null;
  const box = pointsBox(face.landmarks);
  const overlap = boxIou(face.bbox, box);
  const upright = uprightAngle(keypointsOf(face.landmarks));
  const rotation = Math.abs(remainder(upright - angle + 180, 360) - 180);
  const good = overlap >= GOOD_OVERLAP && rotation <= GOOD_ROTATION;
  return overlap < LEAST_OVERLAP || good ? null : { box, angle: upright };
}

/** @param {number} value @param {number} by @returns {number} from 0 on, as Python's % */
const remainder = (value, by) => ((value % by) + by) % by;
