/** The page: what comes in, what is shown. All work is the library's. */

/** @import { Face } from "../src/types.js" */
/** @import { Asmnet } from "../src/index.js" */

import { drawFaces } from "../src/draw.js";
import { load } from "../src/index.js";
import { openPicture, nextFrame, theElement } from "./elements.js";
import { fitIntoSite } from "./site.js";

/** Pixels of the longer side that are drawn: no screen shows more. */
const MAX_DRAWN = 2560;

const file = theElement("#file", HTMLInputElement);
const camera = theElement("#camera", HTMLButtonElement);
const shot = theElement("#shot", HTMLButtonElement);
const stop = theElement("#stop", HTMLButtonElement);
const status = theElement("#status", HTMLElement);
const error = theElement("#error", HTMLElement);
const stage = theElement("#stage", HTMLElement);
const canvas = theElement("#canvas", HTMLCanvasElement);
const hint = theElement("#hint", HTMLElement);
const video = theElement("#video", HTMLVideoElement);
const layers = theElement("#layers", HTMLFieldSetElement);
const results = theElement("#results", HTMLElement);
const rows = theElement("#results tbody", HTMLElement);
const json = theElement("#json", HTMLButtonElement);

/** What is shown: a picture without overlays, its size in its own pixels, its faces. */
const shown = {
  picture: document.createElement("canvas"),
  width: 0,
  name: "",
  /** @type {Face[]} */
  faces: [],
};

/** Counts what was asked for: what comes late, of an earlier one, is dropped. */
let task = 0;

const loading = start();

/** @returns {Promise<Asmnet>} */
async function start() {
  const asmnet = await load({ worker: boundWorker() });
  const { license, threads } = asmnet.loaded;
  if (task === 0) say("Ready.");
  theElement("#license", HTMLElement).textContent =
    `Weights: ${license}. ONNX Runtime on ${threads === 1 ? "one thread" : `${threads} threads`}.`;
  return asmnet;
}

/**
 * A worker that this page's security policy binds: one that is started by the address of its file
 * has the policy of the answer to that address, so none; one of a blob has its creator's.
 */
function boundWorker() {
  const address = new URL("../src/worker.js", import.meta.url).href;
  const code = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
  return new Worker(URL.createObjectURL(code), { type: "module" });
}

/** @param {string} text */
function say(text) {
  if (status.textContent !== text) status.textContent = text;
}

/** @param {unknown} reason */
function fail(reason) {
  error.textContent = reason instanceof Error ? reason.message : String(reason);
  error.hidden = false;
  say("");
  // What was there before is not what failed.
  canvas.hidden = true;
  hint.hidden = false;
  Object.assign(shown, { width: 0, faces: [] });
  tell([]);
}

/**
 * Ends what goes on, and begins something else.
 *
 * @param {(own: number) => Promise<void>} work
 */
async function begin(work) {
  const own = endTask();
  error.hidden = true;
  try {
    await work(own);
  } catch (reason) {
    if (own === task) {
      endTask();
      fail(reason);
    }
  }
}

/** @returns {number} of the next task */
function endTask() {
  if (video.srcObject instanceof MediaStream) {
    for (const track of video.srcObject.getTracks()) track.stop();
  }
  video.pause();
  video.srcObject = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  camera.hidden = false;
  if (document.activeElement === shot || document.activeElement === stop) camera.focus();
  shot.hidden = stop.hidden = true;
  return ++task;
}

/** @param {File} chosen */
function useFile(chosen) {
  if (chosen.type.startsWith("video/")) {
    return begin((own) => {
      video.src = URL.createObjectURL(chosen);
      return follow(own, chosen.name);
    });
  }
  return begin((own) => analyse(own, chosen, chosen.name));
}

/**
 * Shows a picture, and then its faces.
 *
 * @param {number} own
 * @param {Blob} blob
 * @param {string} name
 */
async function analyse(own, blob, name) {
  say(`Opening ${name} …`);
  const picture = await openPicture(blob);
  if (own !== task) return;
  // What the browser cannot show the library refuses, with its reason.
  if (picture) show(picture, picture.naturalWidth, picture.naturalHeight, name, []);
  const asmnet = await loading;
  if (own !== task) return;
  say(`Looking at ${name} …`);
  const began = performance.now();
  const faces = await asmnet.detect(blob).catch((reason) => {
    throw new Error(`${name}: ${reason.message}`, { cause: reason });
  });
  if (own !== task) return;
  shown.faces = faces;
  draw();
  tell(faces);
  say(`${counted(faces.length)} in ${name}, ${Math.round(performance.now() - began)} ms.`);
}

async function useCamera() {
  await begin(async (own) => {
    say("Waiting for the camera …");
    const stream = await cameraStream();
    if (own !== task) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    video.srcObject = stream;
    await follow(own, "the camera");
  });
}

/** @returns {Promise<MediaStream>} */
async function cameraStream() {
  if (!navigator.mediaDevices) throw new Error("The camera works on pages of https only.");
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } },
    });
  } catch (reason) {
    const name = reason instanceof DOMException ? reason.name : "";
    throw new Error(
      {
        NotAllowedError:
          "The camera was refused. Allow it in the browser's settings for this page, or choose a photo.",
        NotFoundError: "There is no camera. Choose a photo instead.",
        NotReadableError: "Another program uses the camera. Close it, or choose a photo.",
      }[name] ?? `The camera cannot be used: ${reason}`,
      { cause: reason },
    );
  }
}

/**
 * Follows the faces of what the video element plays.
 *
 * @param {number} own
 * @param {string} name
 */
async function follow(own, name) {
  stop.hidden = false;
  if (document.activeElement === camera) stop.focus();
  camera.hidden = true;
  try {
    await video.play();
  } catch (reason) {
    if (own !== task) return;
    throw new Error(`This browser cannot play ${name}.`, { cause: reason });
  }
  const asmnet = await loading;
  const tracker = asmnet.track();
  try {
    while (own === task && !video.ended) {
      await nextFrame(video);
      if (own !== task) break;
      const frame = await createImageBitmap(video);
      const faces = await tracker.update(frame, performance.now() / 1000);
      if (own === task) {
        show(frame, frame.width, frame.height, name, faces);
        shot.hidden = video.srcObject === null;
        say(`${counted(faces.length)} in ${name}.`);
      }
      frame.close();
    }
    if (own === task) endTask();
  } finally {
    tracker.close();
  }
}

/** The camera's present picture as a photo. */
function takePhoto() {
  const { picture } = shown;
  return begin(async (own) => {
    const blob = await new Promise((resolve) => picture.toBlob(resolve));
    await analyse(own, blob, "your photo");
  });
}

/**
 * @param {CanvasImageSource} picture
 * @param {number} width
 * @param {number} height
 * @param {string} name
 * @param {Face[]} faces
 */
function show(picture, width, height, name, faces) {
  const scale = Math.min(1, MAX_DRAWN / Math.max(width, height));
  const kept = shown.picture;
  kept.width = Math.max(1, Math.round(width * scale));
  kept.height = Math.max(1, Math.round(height * scale));
  kept.getContext("2d")?.drawImage(picture, 0, 0, kept.width, kept.height);
  Object.assign(shown, { width, name, faces });
  draw();
  tell(faces);
}

/** Draws what is shown, with the overlays that are ticked. */
function draw() {
  const { picture, width, name, faces } = shown;
  if (!width) return;
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.hidden = false;
  hint.hidden = true;
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.drawImage(picture, 0, 0);
  const scale = picture.width / width;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  drawFaces(context, faces, chosenLayers());
  context.resetTransform();
  canvas.setAttribute("aria-label", `${name}: ${counted(faces.length)}`);
}

/** @returns {Record<string, boolean>} */
function chosenLayers() {
  const boxes = layers.querySelectorAll("input");
  return Object.fromEntries(Array.from(boxes, (box) => [box.name, box.checked]));
}

/** @param {Face[]} faces  for the table, and for the file */
function tell(faces) {
  results.hidden = !faces.length;
  rows.replaceChildren(
    ...faces.map((face, i) => {
      const { pitch, yaw, roll } = face.pose;
      const sure = face.confidence?.filter((value) => value >= 0.5).length;
      const row = document.createElement("tr");
      for (const text of [
        String(face.track_id ?? i + 1),
        face.score?.toFixed(2) ?? "",
        ...[pitch, yaw, roll].map((angle) => `${Math.round(angle)}°`.replace("-", "−")),
        sure === undefined ? "" : String(sure),
      ]) {
        row.append(Object.assign(document.createElement("td"), { textContent: text }));
      }
      return row;
    }),
  );
}

/** @param {number} count */
function counted(count) {
  return count === 0 ? "No face" : count === 1 ? "1 face" : `${count} faces`;
}

file.addEventListener("change", () => {
  const [chosen] = file.files ?? [];
  if (chosen) useFile(chosen);
  file.value = ""; // so that the same one can be chosen again
});
camera.addEventListener("click", useCamera);
shot.addEventListener("click", takePhoto);
stop.addEventListener("click", () => {
  endTask();
  say("Stopped.");
});
for (const button of document.querySelectorAll("button[data-photo]")) {
  button.addEventListener("click", () =>
    begin(async (own) => {
      const name = /** @type {HTMLElement} */ (button).dataset.photo ?? "";
      const answer = await fetch(new URL(`photos/${name}`, import.meta.url));
      if (!answer.ok) throw new Error(`${name}: status ${answer.status}`);
      await analyse(own, await answer.blob(), name);
    }),
  );
}
layers.addEventListener("change", draw);
json.addEventListener("click", () => {
  const text = JSON.stringify([{ file: shown.name, faces: shown.faces }]);
  const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  Object.assign(document.createElement("a"), { href, download: "faces.json" }).click();
  URL.revokeObjectURL(href);
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  stage.classList.add("over");
});
addEventListener("dragleave", () => stage.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  const [dropped] = event.dataTransfer?.files ?? [];
  if (dropped) useFile(dropped);
  else begin(() => Promise.reject(new Error("Expected a file to be dropped: a photo or a video.")));
});

loading.catch(fail);
fitIntoSite();
