/**
 * Puts into vendor/ what the modules need beside them: ONNX Runtime's files, the manifest and the
 * weights of the family that is used; and the page's pictures into page/photos/. `npm run vendor`, after `npm ci`.
 */

import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { chosenFamily } from "./src/weights.js";

const WEB = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(WEB);
const VENDOR = join(WEB, "vendor");
const RUNTIME = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];

/** @param {string} from @param {string} to */
async function copy(from, to) {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}

await rm(VENDOR, { recursive: true, force: true });
const runtime = join(WEB, "node_modules", "onnxruntime-web", "dist");
for (const name of RUNTIME) await copy(join(runtime, name), join(VENDOR, "ort", name));
// For the type checker.
await writeFile(
  join(VENDOR, "ort", "ort.wasm.min.d.mts"), 'export * from "onnxruntime-common";\n',
);

const text = await readFile(join(ROOT, "asmnet", "weights_manifest.json"), "utf-8");
const manifest = JSON.parse(text);
const { detector, verifier, landmarks } = chosenFamily(manifest).weights;
await mkdir(join(VENDOR, "asmnet"), { recursive: true });
await writeFile(join(VENDOR, "asmnet", "weights_manifest.json"), text);
for (const { name, file } of manifest.weights) {
  if ([detector, verifier, landmarks].includes(name)) await copy(join(ROOT, "asmnet", file), join(VENDOR, "asmnet", file));
}

// The page's pictures.
await rm(join(WEB, "page", "photos"), { recursive: true, force: true });
for (const name of ["apollo11_crew.jpg", "astronaut.png", "london_097_03.jpg"]) {
  await copy(join(ROOT, "examples", "photos", name), join(WEB, "page", "photos", name));
}

// What a package of these files needs to say of them.
for (const name of ["LICENSE", "LICENSES/LicenseRef-asmnet-weights.txt"]) {
  await copy(join(ROOT, name), join(WEB, name));
}
