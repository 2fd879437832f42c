/** The browser finds what Python finds. pictures.py has made the pictures and asked Python. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";

import { ARTEFACTS, PATIENCE, WEB, open, startBrowser, startServer } from "./browser.js";

const BOX = 0.5; // pixels
const POINT = 0.3; // pixels, or percent of the face where that is more
const POSE = 0.5; // degrees
const CHANCE = 0.05;
// Below this presence the landmark network sees no face: what it makes of nothing hangs on the last
// digits of its input, which differ between processors, too.
const NO_FACE = 0.05;

const expected = JSON.parse(readFileSync(join(ARTEFACTS, "pictures.json"), "utf-8"));
const expectedClip = JSON.parse(readFileSync(join(ARTEFACTS, "clip.json"), "utf-8"));

let page;

before(async () => {
  const server = await startServer();
  ({ page } = await open(await startBrowser(), `${server.origin}/web/page/index.html`));
  await page.evaluate(async () => {
    const { load } = await import("../src/index.js");
    globalThis.asmnet = await load();
    globalThis.fetched = async (address) => (await fetch(address)).blob();
  });
});

/** What differs most, by kind, in the units of the limits. */
function differences(found, wanted) {
  const worst = { box: 0, point: 0, pose: 0, chance: 0 };
  const note = (kind, value) => {
    worst[kind] = Math.max(worst[kind], value);
  };
  found.forEach((face, i) => {
    const other = wanted[i];
    const [x0, y0, x1, y1] = other.bbox;
    const percent = Math.max(x1 - x0, y1 - y0) / 100;
    face.bbox.forEach((value, k) => note("box", Math.abs(value - other.bbox[k])));
    note("chance", Math.abs(face.score - other.score));
    note("chance", Math.abs(face.presence - other.presence));
    if (other.presence < NO_FACE) return;
    face.landmarks.forEach(([x, y], k) => {
      const [wantedX, wantedY] = other.landmarks[k];
      note("point", Math.hypot(x - wantedX, y - wantedY) / Math.max(percent, 1));
    });
    for (const angle of ["pitch", "yaw", "roll"]) {
      const turn = Math.abs(face.pose[angle] - other.pose[angle]);
      note("pose", Math.min(turn, 360 - turn));
    }
    face.confidence.forEach((value, k) => note("chance", Math.abs(value - other.confidence[k])));
  });
  return worst;
}

function assertAlike(found, wanted) {
  assert.equal(found.length, wanted.length, "number of faces");
  const worst = differences(found, wanted);
  const text = JSON.stringify(worst);
  assert.ok(worst.box <= BOX && worst.point <= POINT && worst.pose <= POSE, text);
  assert.ok(worst.chance <= CHANCE, text);
  return text;
}

test("there are twenty pictures or more, and faces in them", () => {
  assert.ok(Object.keys(expected).length >= 20);
  const faces = Object.values(expected).flat().filter((face) => face.presence >= NO_FACE);
  assert.ok(faces.length >= 40);
  assert.equal(expected["twenty.png"].length, 20);
  assert.equal(expected["no-face.png"].length, 0);
});

const saved = [];

for (const [name, wanted] of Object.entries(expected)) {
  test(`${name} as in Python`, { timeout: PATIENCE }, async (t) => {
    const found = await page.evaluate(
      async (address) => globalThis.asmnet.detect(await globalThis.fetched(address)),
      `/artefacts/pictures/${name}`,
    );
    saved.push({ file: name, faces: found });
    t.diagnostic(assertAlike(found, wanted));
  });
}

test("results are by Python's schema, and Python reads them", () => {
  assert.equal(saved.length, Object.keys(expected).length);
  const file = join(ARTEFACTS, "results.json");
  writeFileSync(file, JSON.stringify(saved));
  const python = process.env.PYTHON ?? "python3";
  const told = execFileSync(python, [join(WEB, "test", "validate.py"), file], { encoding: "utf-8" });
  assert.equal(told.trim(), `${saved.flatMap((result) => result.faces).length} faces`);
});

test("a clip as in Python: numbers, also of a face that was hidden", { timeout: PATIENCE }, async () => {
  const found = await page.evaluate(async (count) => {
    const tracker = globalThis.asmnet.track();
    const frames = [];
    for (let i = 0; i < count; i++) {
      frames.push(await tracker.update(await globalThis.fetched(`/artefacts/clip/${i}.jpg`), i / 30));
    }
    tracker.close();
    return frames;
  }, expectedClip.length);
  // A false face is followed by noise, which differs.
  const there = (frames) => frames.map((faces) => faces.filter((face) => face.presence >= 0.5));
  const [seen, wanted] = [there(found), there(expectedClip)];
  const numbers = (faces) => faces.map((face) => face.track_id);
  assert.deepEqual(seen.map(numbers), wanted.map(numbers));
  assert.ok(new Set(wanted.map((faces) => faces.length)).size > 1, "none was hidden");
  seen.forEach((faces, i) => assertAlike(faces, wanted[i]));
});

test("all kinds of sources give the same", { timeout: PATIENCE }, async () => {
  const counts = await page.evaluate(async () => {
    const { asmnet, fetched } = globalThis;
    const address = "/artefacts/pictures/exif.jpg";
    const picture = new Image();
    picture.src = address;
    await picture.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    const bitmap = await createImageBitmap(canvas);
    const offscreen = new OffscreenCanvas(canvas.width, canvas.height);
    offscreen.getContext("2d").drawImage(picture, 0, 0);
    const data = context.getImageData(0, 0, canvas.width, canvas.height);
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    const results = [];
    for (const source of [await fetched(address), picture, canvas, bitmap, offscreen, data, frame]) {
      results.push(await asmnet.detect(source));
    }
    frame.close();
    return { results, left: bitmap.width }; // a bitmap of the caller's stays open
  });
  assert.ok(counts.left > 0);
  for (const faces of counts.results) assertAlike(faces, expected["exif.jpg"]);
});

test("options choose", { timeout: PATIENCE }, async () => {
  const [few, sure, lone] = await page.evaluate(async () => {
    const { asmnet, fetched } = globalThis;
    const crew = await fetched("/artefacts/pictures/apollo11_crew.jpg");
    return [
      await asmnet.detect(crew, { maxFaces: 2 }),
      await asmnet.detect(crew, { minScore: 1 }),
      await asmnet.track({ maxFaces: 1 }).update(crew, 0),
    ];
  });
  assert.deepEqual([few.length, sure.length, lone.length], [2, 0, 1]);
  assert.ok(few[0].score >= few[1].score);
});

test("wrong use is told in words", { timeout: PATIENCE }, async () => {
  const told = await page.evaluate(async () => {
    const { asmnet, fetched } = globalThis;
    const { AsmnetError, ImageError, InvalidInputError } = await import("../src/index.js");
    const picture = await fetched("/artefacts/pictures/small.png");
    const tracker = asmnet.track();
    await tracker.update(picture, 1);
    const attempts = [
      [InvalidInputError, () => asmnet.detect(picture, { minScore: 2 })],
      [InvalidInputError, () => asmnet.detect(picture, { maxFaces: 0.5 })],
      [InvalidInputError, () => tracker.update(picture, 1)],
      [ImageError, () => asmnet.detect(new Blob([]))],
      [ImageError, async () => asmnet.detect(await fetched("/artefacts/notes.txt"))],
      [ImageError, () => asmnet.detect(document.createElement("video"))],
      [ImageError, () => asmnet.detect(null)],
    ];
    const messages = [];
    for (const [kind, attempt] of attempts) {
      try {
        await attempt();
        messages.push("nothing was thrown");
      } catch (error) {
        const right = error instanceof kind && error instanceof AsmnetError;
        messages.push(right ? error.message : `another error: ${error}`);
      }
    }
    return messages;
  });
  for (const message of told) assert.match(message, /: expected|^expected/);
});
