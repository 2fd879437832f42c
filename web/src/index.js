/** The public names: `load`, what it returns, the errors and the types of results. */

/**
 * @typedef {import("./types.js").Face} Face
 * @typedef {import("./types.js").HeadPose} HeadPose
 */

import { DEFAULT_MIN_SCORE } from "./detector.js";
import { ERRORS, ImageError, InvalidInputError, WeightsError, messageOf } from "./errors.js";

export { AsmnetError, ImageError, InvalidInputError, WeightsError } from "./errors.js";

/**
 * A file, an element with a picture, or its pixels.
 *
 * @typedef {Blob | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas | HTMLVideoElement |
 *   VideoFrame | ImageBitmap | ImageData} ImageSource
 */

/**
 * @typedef {object} Options
 * @property {number} [minScore]  0–1, faces below are left out
 * @property {number} [maxFaces]  keep only so many of the best
 */

/**
 * What was loaded.
 *
 * @typedef {object} Loaded
 * @property {"open" | "research"} family
 * @property {string} license  what the weights may be used for
 * @property {{detector: string, verifier: string, landmarks: string}} weights
 * @property {number} threads  one where the page is not cross-origin isolated
 */

/**
 * Loads networks and weights into a worker.
 *
 * @param {object} [options]
 * @param {string | URL} [options.weights]  folder of weights_manifest.json and its files; the
 *   package's own unless given
 * @param {Worker} [options.worker]  a worker that runs worker.js, started in another way
 * @returns {Promise<Asmnet>}
 * @throws {WeightsError} the files are missing, damaged or of another kind
 */
export async function load({ weights, worker } = {}) {
  const folder = new URL(weights ?? new URL("../vendor/asmnet/", import.meta.url), location.href);
  if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  const connection = new Connection(
    worker ?? new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
  );
  try {
    return new Asmnet(connection, await connection.call("load", [folder.href]));
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** The loaded networks. */
export class Asmnet {
  #connection;
  #trackers = 0;

  /** @param {Connection} connection @param {Loaded} loaded */
  constructor(connection, loaded) {
    this.#connection = connection;
    this.loaded = Object.freeze(loaded);
  }

  /**
   * The faces of one picture, best score first; an empty list where there are none.
   *
   * @param {ImageSource} source
   * @param {Options} [options]
   * @returns {Promise<Face[]>}
   * @throws {ImageError} the picture cannot be used
   * @throws {InvalidInputError} an option out of its range
   */
  async detect(source, options) {
    const checked = checkedOptions(options);
    const picture = await transferable(source);
    return this.#connection.call("detect", [picture, checked], picture);
  }

  /**
   * Follows the faces of one video; make one for each.
   *
   * @param {Options} [options]
   * @returns {Tracker}
   */
  track(options) {
    const key = this.#trackers++;
    // A failure of the worker comes again with the first frame.
    this.#connection.call("track", [key, checkedOptions(options)]).catch(() => {});
    return new Tracker(this.#connection, key);
  }

  /** Ends the worker; calls that are under way fail. */
  close() {
    this.#connection.close();
  }
}

/** Follows the faces of one video, each with a number, `track_id`. */
export class Tracker {
  #connection;
  #key;

  /** @param {Connection} connection @param {number} key */
  constructor(connection, key) {
    this.#connection = connection;
    this.#key = key;
  }

  /**
   * The faces of the next frame, by their numbers. Wait for it before the next call.
   *
   * @param {ImageSource} frame
   * @param {number} timestamp  seconds, from any origin; more than the last frame's
   * @returns {Promise<Face[]>}
   * @throws {ImageError} the frame cannot be used
   * @throws {InvalidInputError} the timestamp is not above the last one
   */
  async update(frame, timestamp) {
    const picture = await transferable(frame);
    return this.#connection.call("update", [this.#key, picture, timestamp], picture);
  }

  /** Forgets the video. */
  close() {
    this.#connection.call("untrack", [this.#key]).catch(() => {});
  }
}

/** Calls of the worker's methods. */
class Connection {
  #worker;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();
  #count = 0;

  /** @param {Worker} worker */
  constructor(worker) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data: { id, result, error } }) => {
      const call = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new ERRORS[/** @type {keyof typeof ERRORS} */ (error.name)](error.message));
    });
    worker.addEventListener("error", (event) => {
      const reason = event.message || "its files cannot be fetched";
      this.#failAll(new WeightsError(`the worker cannot run: ${reason}`));
    });
  }

  /**
   * @param {string} method
   * @param {any[]} args
   * @param {Blob | ImageBitmap} [moved]  of them, what need not be copied
   * @returns {Promise<any>}
   */
  call(method, args, moved) {
    return new Promise((resolve, reject) => {
      const id = this.#count++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, args }, moved instanceof ImageBitmap ? [moved] : []);
    });
  }

  close() {
    this.#worker.terminate();
    this.#failAll(new WeightsError("the worker was closed"));
  }

  /** @param {Error} error */
  #failAll(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** @param {Options} [options] */
function checkedOptions({ minScore = DEFAULT_MIN_SCORE, maxFaces = Infinity } = {}) {
  if (!(minScore >= 0 && minScore <= 1)) {
    throw new InvalidInputError(`minScore: expected a number from 0 to 1, got ${minScore}`);
  }
  if (maxFaces !== Infinity && !(Number.isInteger(maxFaces) && maxFaces > 0)) {
    throw new InvalidInputError(`maxFaces: expected a whole number above 0, got ${maxFaces}`);
  }
  return { minScore, maxFaces };
}

/**
 * A picture that a worker can take; files are decoded there.
 *
 * @param {ImageSource} source
 */
async function transferable(source) {
  if (source instanceof Blob) return source;
  try {
    if (source instanceof HTMLImageElement) await source.decode(); // it may not have loaded yet
    return await createImageBitmap(source, { colorSpaceConversion: "none" });
  } catch (error) {
    throw new ImageError(
      `expected a file, picture, canvas or video that has loaded, got: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
