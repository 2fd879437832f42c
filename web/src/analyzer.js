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
    return withLandmarks(found.slice(0, maxFaces), this.#landmarker, pixels);
  }
}

/**
 * The detections with landmarks, best score first; where two have the same points, the better stays.
 *
 * @param {Candidate[]} found
 * @param {FaceLandmarker} landmarker
 * @param {Pixels} pixels
 * @returns {Promise<Face[]>}
 */
export async function withLandmarks(found, landmarker, pixels) {
  const faces = await landmarker.predict(pixels, found);
  const places = faces.map((face) => pointsBox(face.landmarks));
  const scores = found.map((face) => face.score);
  const kept = nonMaximumSuppression(places, scores, SAME_FACE_IOU);
  return kept.map((i) => ({ ...faces[i], score: scores[i] }));
}
