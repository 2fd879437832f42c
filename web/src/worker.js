/** The worker that all work is done in, so that the page stays responsive. index.js talks to it. */

import { FaceAnalyzer } from "./analyzer.js";
import { DEFAULT_SIDE, FaceDetector } from "./detector.js";
import { AsmnetError, messageOf } from "./errors.js";
import { loadImage } from "./image.js";
import { FaceLandmarker } from "./landmarker.js";
import { OnnxSession, THREADS } from "./session.js";
import { FaceTracker, INPUT_SIZE } from "./tracker.js";
import { FaceVerifier } from "./verifier.js";
import { loadFamily } from "./weights.js";

/** @typedef {{minScore: number, maxFaces: number}} Options */

/** The networks and what uses them. */
class Service {
  #analyzer;
  #trackers = new Map();
  #newTracker;

  /**
   * @param {OnnxSession} detection
   * @param {OnnxSession} verification
   * @param {OnnxSession} landmarks
   */
  constructor(detection, verification, landmarks) {
    const verifier = new FaceVerifier(verification);
    const landmarker = new FaceLandmarker(landmarks);
    const still = { inputSize: DEFAULT_SIDE, rotatedRetry: true };
    const moving = { inputSize: INPUT_SIZE, rotatedRetry: false };
    const trackerDetector = new FaceDetector(detection, verifier, moving);
    this.#analyzer = new FaceAnalyzer(new FaceDetector(detection, verifier, still), landmarker);
    this.#newTracker = (/** @type {Options} */ options) =>
      new FaceTracker(trackerDetector, landmarker, options);
  }

  /** @param {Blob | ImageBitmap} source @param {Options} options */
  async detect(source, options) {
    return this.#analyzer.detect(await loadImage(source), options);
  }

  /** @param {number} key  that names it @param {Options} options */
  track(key, options) {
    this.#trackers.set(key, this.#newTracker(options));
  }

  /** @param {number} key @param {Blob | ImageBitmap} source @param {number} timestamp */
  async update(key, source, timestamp) {
    return this.#trackers.get(key).update(await loadImage(source), timestamp);
  }

  /** @param {number} key */
  untrack(key) {
    this.#trackers.delete(key);
  }
}

/** @type {Service} */
let service;

/** @param {string} weights  folder of the manifest */
async function load(weights) {
  const family = await loadFamily(weights);
  const { detector, verifier, landmarks } = family.contents;
  const names = family.weights;
  // One after the other: the first also starts ONNX Runtime.
  const sessions = /** @type {const} */ ([
    await OnnxSession.load(names.detector, detector),
    await OnnxSession.load(names.verifier, verifier),
    await OnnxSession.load(names.landmarks, landmarks),
  ]);
  service = new Service(...sessions);
  return { family: family.name, license: family.license, weights: names, threads: THREADS };
}

/** A network runs one thing at a time, so calls wait for those before them. */
let last = Promise.resolve();

addEventListener("message", ({ data: { id, method, args } }) => {
  last = last.then(async () => {
    try {
      const result = await (method === "load"
        ? load(args[0])
        : service[/** @type {"detect"} */ (method)](.../** @type {[any, any]} */ (args)));
      postMessage({ id, result });
    } catch (error) {
      const name = error instanceof AsmnetError ? error.name : "AsmnetError";
      postMessage({ id, error: { name, message: messageOf(error) } });
    }
  });
});
