/** Image in, faces with landmarks and pose out: asmnet/analyzer.py in JavaScript. */

/** @import { Candidate, Face, Pixels } from "./types.js" */
/** @import { FaceDetector } from "./detector.js" */
/** @import { FaceLandmarker } from "./landmarker.js" */

import { nonMaximumSuppression, pointsBox } from "./geometry.js";

// Faces whose points' boxes overlap more are one face.
const SAME_FACE_IOU = 0.5;

/** The detector followed by the landmarker; keeps no state between images. */
export class FaceAnalyzer {
  #detector;
  #landmarker;

  /** @param {FaceDetector} detector @param {FaceLandmarker} landmarker */
  constructor(detector, landmarker) {
    this.#detector = detector;
    this.#landmarker = landmarker;
  }

  /**
   * The faces of one image, best score first; an empty list where there are none.
   *
   * @param {Pixels} pixels
   * @param {{minScore: number, maxFaces: number}} options
   */
  async detect(pixels, { minScore, maxFaces }) {
    const found = await this.#detector.detect(pixels, minScore);
    return withLandmarks(found, this.#landmarker, pixels, maxFaces);
  }
}

/**
 * The detections, best score first, with landmarks; where two have the same points, the better
 * stays.
 *
 * @param {Candidate[]} found
 * @param {FaceLandmarker} landmarker
 * @param {Pixels} pixels
 * @param {number} [maxFaces]  only so many of the best
 * @returns {Promise<Face[]>}
 */
export async function withLandmarks(found, landmarker, pixels, maxFaces = Infinity) {
  /** @type {Face[]} */
  let faces = [];
  for (let taken = 0; taken < found.length && faces.length < maxFaces; ) {
    const part = found.slice(taken, taken + maxFaces - faces.length);
    taken += part.length;
    const placed = await landmarker.predict(pixels, part);
    faces = withoutDoubles([
      ...faces,
      ...placed.map((face, i) => ({ ...face, score: part[i].score })),
    ]);
  }
  return faces;
}

/** @param {Face[]} faces */
function withoutDoubles(faces) {
  const places = faces.map((face) => pointsBox(face.landmarks));
  const scores = faces.map((face) => face.score ?? 0);
  return nonMaximumSuppression(places, scores, SAME_FACE_IOU).map((i) => faces[i]);
}
