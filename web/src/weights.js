/** The weights manifest: which files make a family, and are they what it says. */

import { WeightsError, messageOf } from "./errors.js";

const SCHEMA_VERSION = 1;

/** @typedef {{detector: string, verifier: string, landmarks: string}} Names  of the three weights */

/**
 * @typedef {object} Family
 * @property {"open" | "research"} name
 * @property {string} license  what the weights may be used for
 * @property {Names} weights
 * @property {Record<keyof Names, Uint8Array>} contents  of the files, checked
 */

/**
 * The open family if the manifest has one, else the weights for research.
 *
 * @param {URL | string} base  folder of weights_manifest.json, ends with a slash
 * @returns {Promise<Family>}
 */
export async function loadFamily(base) {
  const text = new TextDecoder().decode(await fetched(new URL("weights_manifest.json", base)));
  const manifest = parsed(text);
  if (manifest?.schema_version !== SCHEMA_VERSION || !manifest.families?.research) {
    throw new WeightsError(
      `weights_manifest.json: expected families of weights with schema_version ${SCHEMA_VERSION}, ` +
        `got schema_version ${manifest?.schema_version}`,
    );
  }
  const { name, weights: named } = chosenFamily(manifest);
  const weights = { detector: named.detector, verifier: named.verifier, landmarks: named.landmarks };
  const records = Object.fromEntries(
    ["detector", "verifier", "landmarks"].map((role) => {
      const own = weights[/** @type {keyof Names} */ (role)];
      const record = manifest.weights.find((/** @type {any} */ r) => r.name === own);
      if (record?.file === undefined) {
        throw new WeightsError(`weights_manifest.json: expected a file of ${own}, the ${role}`);
      }
      return [role, record];
    }),
  );
  const [detector, verifier, landmarks] = await Promise.all(
    [records.detector, records.verifier, records.landmarks].map((r) => checkedFile(r, base)),
  );
  return {
    name,
    license: records.landmarks.license,
    weights,
    contents: { detector, verifier, landmarks },
  };
}

/**
 * The family that is used of a manifest.
 *
 * @param {{families: {open?: Names, research: Names}}} manifest
 * @returns {{name: "open" | "research", weights: Names}}
 */
export function chosenFamily({ families: { open, research } }) {
  return open ? { name: "open", weights: open } : { name: "research", weights: research };
}

/**
 * @param {{name: string, file: string, sha256: string}} record
 * @param {URL | string} base
 */
async function checkedFile(record, base) {
  const content = await fetched(new URL(record.file, base));
  // Browsers have it on pages of https and of this machine only.
  if (!globalThis.crypto?.subtle) {
    throw new WeightsError("expected a page of https or localhost: only there weights are checked");
  }
  const digest = await crypto.subtle.digest("SHA-256", content);
  const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0"));
  if (hash.join("") !== record.sha256) {
    throw new WeightsError(
      `${record.file}: expected the file of SHA-256 ${record.sha256}, got ${hash.join("")}: ` +
        "it is damaged, or not the manifest's",
    );
  }
  return content;
}

/** @param {URL} url */
async function fetched(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new WeightsError(`${url}: cannot be fetched: ${messageOf(error)}`, { cause: error });
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WeightsError(`weights_manifest.json: expected JSON, got: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
