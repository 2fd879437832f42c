/** A network that runs: the only module that imports ONNX Runtime. */

import * as ort from "../vendor/ort/ort.wasm.min.mjs";
import { WeightsError, messageOf } from "./errors.js";

/** Threads that a network runs on; one where the page is not cross-origin isolated. */
export const THREADS = globalThis.crossOriginIsolated
  ? Math.min(navigator.hardwareConcurrency, 4)
  : 1;

ort.env.wasm.wasmPaths = new URL("../vendor/ort/", import.meta.url).href;
ort.env.wasm.numThreads = THREADS;
// One of its warnings, of a processor that it does not know, comes in every browser.
ort.env.logLevel = "error";

/**
 * @typedef {object} Output
 * @property {Float32Array} data
 * @property {readonly number[]} dims
 */

/** An ONNX file made ready. */
export class OnnxSession {
  #session;
  #name;

  /**
   * @param {string} name  of the weights
   * @param {ort.InferenceSession} session
   * @param {Map<string, string>} metadata  what the exporter stored in the file
   */
  constructor(name, session, metadata) {
    this.#name = name;
    this.#session = session;
    this.metadata = metadata;
  }

  /**
   * @param {string} name
   * @param {Uint8Array} content  of the file
   */
  static async load(name, content) {
    try {
      const metadata = metadataOf(content);
      const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
      return new OnnxSession(name, session, metadata);
    } catch (error) {
      throw new WeightsError(`${name}: expected an ONNX model, got: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** @param {string} task  that the file must be for, or WeightsError */
  requireTask(task) {
    const own = this.metadata.get("task");
    if (own !== task) {
      throw new WeightsError(`${this.#name}: expected weights for ${task}, got task ${own}`);
    }
  }

  /** Side of the crops that it takes in pixels, and in units of the box's longer side. */
  cropFormat() {
    const size = Number(this.metadata.get("input_size"));
    const margin = Number(this.metadata.get("crop_margin"));
    if (!(size > 0 && margin > 0)) {
      throw new WeightsError(`${this.#name}: expected metadata input_size and crop_margin`);
    }
    return { size, margin };
  }

  /**
   * @param {Uint8Array} data  n images, one after the other
   * @param {number} count
   * @param {{width: number, height: number}} size  of each
   * @returns {Promise<Map<string, Output>>} by name, in the file's order
   */
  async run(data, count, { width, height }) {
    const images = new ort.Tensor("uint8", data, [count, height, width, 3]);
    const outputs = await this.#session.run({ [this.#session.inputNames[0]]: images });
    return new Map(
      this.#session.outputNames.map((name) => {
        const { data: values, dims } = outputs[name];
        return [name, { data: /** @type {Float32Array} */ (values), dims }];
      }),
    );
  }
}

/**
 * The names and values that stand in an ONNX file beside the network: ONNX Runtime keeps them from
 * JavaScript. The file is a Protocol Buffers message; field 14 repeats pairs of fields 1 and 2.
 *
 * @param {Uint8Array} content
 * @returns {Map<string, string>}
 */
export function metadataOf(content) {
  const text = new TextDecoder();
  const metadata = new Map();
  for (const [field, part] of fields(content)) {
    if (field !== 14) continue;
    const pair = new Map(fields(part));
    metadata.set(text.decode(pair.get(1)), text.decode(pair.get(2)));
  }
  return metadata;
}

/**
 * The fields of a message that have a length: strings and messages.
 *
 * @param {Uint8Array} message
 * @returns {Generator<[number, Uint8Array]>}
 */
function* fields(message) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (at >= message.length) throw new Error("the file ends early");
      const byte = message[at++];
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) {
      varint();
    } else if (kind === 2) {
      const length = varint();
      if (at + length > message.length) throw new Error("the file ends early");
      yield [Math.floor(tag / 8), message.subarray(at, at + length)];
      at += length;
    } else {
      throw new Error("no ONNX file");
    }
  }
}
