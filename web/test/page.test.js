/** The page, used as a person would. Screenshots lie in artefacts/screenshots/. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";

import { ARTEFACTS, PATIENCE, open, screenshot, startBrowser, startServer } from "./browser.js";

const PICTURES = join(ARTEFACTS, "pictures");
const MEGABYTE = 1_000_000;

let browser;
let server;
let address;

before(async () => {
  browser = await startBrowser([
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-video-capture=${join(ARTEFACTS, "camera.mjpeg")}`,
  ]);
  server = await startServer();
  address = `${server.origin}/web/page/index.html`;
});

/** A test that has a page of its own, and fails where the page throws. */
function pageTest(name, body, options) {
  test(name, { timeout: 3 * PATIENCE }, async (t) => {
    const { page, context, errors } = await open(browser, address, options);
    await body(page, context, t);
    assert.deepEqual(errors, []);
    await context.close();
  });
}

const status = (page) => page.getByRole("status");
const alert = (page) => page.getByRole("alert");
const says = (page, text) => status(page).filter({ hasText: text }).waitFor();
const choose = (page, name) => page.locator("#file").setInputFiles(join(PICTURES, name));
const rows = (page) => page.locator("tbody tr");
const camera = (page) => page.getByRole("button", { name: "Use the camera" });
/** Pixels of the canvas that are as green as the points are. */
const greenPixels = (page) =>
  page.locator("canvas").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i] < 60 && data[i + 1] > 180 && data[i + 2] < 160) count += 1;
    }
    return count;
  });

/** Drops files onto the page; nothing, as text would be, without a name. */
async function drop(page, name, type, content) {
  const data = await page.evaluateHandle(
    ([name, type, bytes]) => {
      const transfer = new DataTransfer();
      const content = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
      if (name) transfer.items.add(new File([content], name, { type }));
      else transfer.setData("text/plain", "words");
      return transfer;
    },
    [name, type, content.toString("base64")],
  );
  for (const event of ["dragover", "drop"]) {
    await page.dispatchEvent("#stage", event, { dataTransfer: data });
  }
}

pageTest("a photo is dropped", async (page) => {
  await drop(page, "crew.jpg", "image/jpeg", readFileSync(join(PICTURES, "apollo11_crew.jpg")));
  await says(page, /^3 faces in crew\.jpg, \d+ ms\.$/);
  assert.equal(await rows(page).count(), 3);
  assert.equal(await page.getByRole("img", { name: "crew.jpg: 3 faces" }).count(), 1);
  assert.ok((await greenPixels(page)) > 200);
  await screenshot(page, "dropped");
  for (const name of ["points", "boxes", "pose axes"]) await page.getByLabel(name, { exact: true }).uncheck();
  assert.equal(await greenPixels(page), 0);
});

pageTest("a text file is dropped, then words, then a photo after all", async (page) => {
  await says(page, "Ready.");
  await drop(page, "notes.txt", "text/plain", readFileSync(join(ARTEFACTS, "notes.txt")));
  await alert(page).filter({ hasText: "notes.txt: expected an image" }).waitFor();
  assert.match(await alert(page).innerText(), /got a file of type text\/plain/);
  await screenshot(page, "text-file");
  await drop(page, "", "", Buffer.alloc(0));
  await alert(page).filter({ hasText: "Expected a file" }).waitFor();
  await choose(page, "astronaut.png");
  await says(page, "1 face in astronaut.png");
  assert.equal(await alert(page).count(), 0);
});

pageTest("the camera is refused", async (page, context) => {
  await context.clearPermissions();
  await says(page, "Ready.");
  await camera(page).click();
  await alert(page).filter({ hasText: "The camera was refused" }).waitFor();
  assert.ok(await camera(page).isVisible());
  await screenshot(page, "camera-refused");
});

pageTest(
  "the camera is followed, and gives a photo",
  async (page) => {
    await camera(page).click();
    await says(page, /[123] faces? in the camera\./);
    await rows(page).first().waitFor();
    assert.equal(await rows(page).first().locator("td").first().innerText(), "0"); // its number
    await screenshot(page, "camera");
    await page.getByRole("button", { name: "Take a photo" }).click();
    await says(page, /faces? in your photo, \d+ ms/);
    assert.ok(await page.evaluate(() => document.querySelector("video").srcObject === null));
    assert.equal(await rows(page).first().locator("td").first().innerText(), "1");
    await camera(page).click();
    await says(page, "in the camera.");
    await page.getByRole("button", { name: "Stop" }).click();
    await says(page, "Stopped.");
    await page.waitForTimeout(500); // no frame comes late
    assert.equal(await status(page).innerText(), "Stopped.");
  },
  { permissions: ["camera"] },
);

pageTest("a video file is followed to its end", async (page, context) => {
  const bytes = await page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [320, 320];
    const picture = new Image();
    picture.src = "photos/astronaut.png";
    await picture.decode();
    const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    const done = new Promise((resolve) => {
      recorder.onstop = resolve;
    });
    recorder.start();
    for (let i = 0; i < 30; i++) {
      canvas.getContext("2d").drawImage(picture, 80 + 2 * i, 0, 320, 320, 0, 0, 320, 320);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    recorder.stop();
    await done;
    return Array.from(new Uint8Array(await new Blob(parts).arrayBuffer()));
  });
  const video = { name: "walk.webm", mimeType: "video/webm", buffer: Buffer.from(bytes) };
  await page.locator("#file").setInputFiles(video);
  await says(page, "1 face in walk.webm.");
  await camera(page).waitFor(); // it comes back when the video has ended
  const broken = { name: "broken.webm", mimeType: "video/webm", buffer: Buffer.from("no video") };
  await page.locator("#file").setInputFiles(broken);
  await alert(page).filter({ hasText: "This browser cannot play broken.webm." }).waitFor();
});

pageTest("a photo of fifty megapixels", async (page) => {
  await choose(page, "fifty-megapixels.jpg");
  await says(page, "1 face in fifty-megapixels.jpg");
  const width = await page.locator("canvas").evaluate((canvas) => canvas.width);
  assert.ok(width <= 2560, "more is drawn than any screen shows");
});

pageTest("no face", async (page) => {
  await choose(page, "twenty.png");
  await says(page, "20 faces in twenty.png");
  assert.equal(await rows(page).count(), 20);
  await page.getByLabel("points by confidence").check();
  await screenshot(page, "twenty");
  await choose(page, "no-face.png");
  await says(page, "No face in no-face.png");
  assert.equal(await rows(page).count(), 0);
  assert.ok(await page.locator("#results").isHidden());
  await screenshot(page, "no-face");
});

pageTest("the last of several photos is the one that stays", async (page) => {
  await says(page, "Ready.");
  await choose(page, "fifty-megapixels.jpg");
  await choose(page, "apollo11_crew.jpg");
  await choose(page, "astronaut.png");
  await says(page, "1 face in astronaut.png");
  await page.waitForTimeout(1000);
  assert.match(await status(page).innerText(), /^1 face in astronaut\.png/);
  assert.equal(await rows(page).count(), 1);
});

pageTest("by the keyboard alone", async (page) => {
  // Early enough: only from the browser's answer on it tells of choosers.
  const chooser = page.waitForEvent("filechooser");
  await says(page, "Ready.");
  /** Presses Tab until an element has the focus. */
  const tabTo = async (locator) => {
    for (let i = 0; i < 30; i++) {
      await page.keyboard.press("Tab");
      if (await locator.evaluate((element) => element === document.activeElement)) return;
    }
    assert.fail(`Tab never comes to ${locator}`);
  };
  await tabTo(page.locator("#file"));
  const outline = await page.locator(".button").evaluate((e) => getComputedStyle(e).outlineStyle);
  assert.equal(outline, "solid", "the focus is not seen");
  await page.keyboard.press("Enter");
  await (await chooser).setFiles(join(PICTURES, "astronaut.png"));
  await says(page, "1 face in astronaut.png");
  await tabTo(page.getByRole("button", { name: "Three astronauts" }));
  await page.keyboard.press("Enter");
  await says(page, "3 faces in apollo11_crew.jpg");
  await tabTo(page.getByLabel("points", { exact: true }));
  await page.keyboard.press("Space");
  await tabTo(page.locator(".scroll"));
  await tabTo(page.getByRole("button", { name: "Save as JSON" }));
  await screenshot(page, "keyboard");
  const download = page.waitForEvent("download");
  await page.keyboard.press("Enter");
  const saved = JSON.parse(readFileSync(await (await download).path(), "utf-8"));
  assert.equal(saved[0].file, "apollo11_crew.jpg");
  assert.equal(saved[0].faces.length, 3);
});

pageTest(
  "on a phone",
  async (page) => {
    await page.getByRole("button", { name: "Three astronauts" }).tap();
    await says(page, "3 faces in");
    const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= width, `${content} pixels on ${width}`);
    for (const button of await page.locator("button:visible, .button").all()) {
      assert.ok((await button.boundingBox()).height >= 44, "too low for a finger");
    }
    await screenshot(page, "phone");
  },
  { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
);

for (const colorScheme of ["light", "dark"]) {
  pageTest(
    `text is told from its background: ${colorScheme}`,
    async (page) => {
      await page.getByRole("button", { name: "One astronaut" }).click();
      await says(page, "1 face in");
      await screenshot(page, colorScheme);
      await drop(page, "notes.txt", "text/plain", Buffer.from("words"));
      await alert(page).waitFor();
      const contrasts = await page.evaluate(() => {
        const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const luminance = (colour) => {
          context.fillStyle = colour;
          context.fillRect(0, 0, 1, 1);
          const [r, g, b] = Array.from(context.getImageData(0, 0, 1, 1).data.slice(0, 3), (v) =>
            v <= 10 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4,
          );
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const clear = (colour) => colour === "rgba(0, 0, 0, 0)" || colour === "transparent";
        const backOf = (element) => {
          const colour = getComputedStyle(element).backgroundColor;
          return clear(colour) && element.parentElement ? backOf(element.parentElement) : colour;
        };
        const texts = document.querySelectorAll("h1, h2, p, button, .button, legend, fieldset label");
        return Array.from(texts, (element) => {
          const [a, b] = [getComputedStyle(element).color, backOf(element)].map(luminance);
          return [element.textContent.trim().slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
        });
      });
      assert.ok(contrasts.length > 15);
      for (const [text, contrast] of contrasts) assert.ok(contrast >= 4.5, `${text}: ${contrast}`);
      const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(back === "rgb(255, 255, 255)", colorScheme === "light");
    },
    { colorScheme, reducedMotion: "reduce" },
  );
}

pageTest("inside of the documentation it has its height and colours", async (page) => {
  writeFileSync(
    join(ARTEFACTS, "site.html"),
    `<!doctype html><title>Site</title><body data-md-color-scheme="default">
      <iframe title="app" src="/web/page/index.html" style="width: 40rem"></iframe>`,
  );
  await page.goto(`${server.origin}/artefacts/site.html`);
  const app = page.frameLocator("iframe");
  await app.getByText("Ready.").waitFor();
  const back = () => app.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
  assert.equal(await back(), "rgb(255, 255, 255)");
  assert.ok(await app.locator("h1").isHidden());
  await page.evaluate(() => {
    document.body.dataset.mdColorScheme = "slate";
  });
  await page.waitForFunction(() => {
    const { body } = document.querySelector("iframe").contentDocument;
    return getComputedStyle(body).backgroundColor !== "rgb(255, 255, 255)";
  });
  await app.getByRole("button", { name: "One astronaut" }).click();
  await app.getByText("1 face in").waitFor();
  await page.waitForFunction(() => {
    const frame = document.querySelector("iframe");
    const { scrollHeight } = frame.contentDocument.documentElement;
    return scrollHeight > 600 && Math.abs(frame.clientHeight - scrollHeight) < 20;
  });
});

pageTest("nothing is sent elsewhere, and the browser would not let it", async (page, context) => {
  const elsewhere = await startServer({ "access-control-allow-origin": "*" });
  const asked = [];
  page.on("request", (request) => asked.push(new URL(request.url())));
  await page.reload();
  await choose(page, "apollo11_crew.jpg");
  await says(page, "3 faces in");
  // A blob's address begins with its own origin too.
  assert.ok(asked.some((url) => url.pathname.endsWith(".onnx")));
  assert.deepEqual(asked.filter((url) => url.origin !== server.origin && url.protocol !== "data:"), []);

  const attempt = async (address) => {
    try {
      await fetch(address);
      return "sent";
    } catch {
      return "refused";
    }
  };
  const target = `${elsewhere.origin}/web/package.json`;
  const [worker] = page.workers();
  assert.equal(await page.evaluate(attempt, target), "refused");
  assert.equal(await worker.evaluate(attempt, target), "refused");
  assert.equal(elsewhere.sizes.size, 0);
  // Without the policy it would have come through.
  const other = await context.newPage();
  await other.goto(`${server.origin}/web/package.json`);
  assert.equal(await other.evaluate(attempt, target), "sent");
});

test("what is downloaded is small enough", { timeout: PATIENCE }, async (t) => {
  const fresh = await startServer();
  const { page, context } = await open(browser, `${fresh.origin}/web/page/index.html`);
  await says(page, "Ready.");
  const entries = [...fresh.sizes];
  const sum = (some) => some.reduce((total, [, size]) => total + size, 0);
  const ours = sum(entries.filter(([path]) => !path.includes("/vendor/ort/")));
  t.diagnostic(`${sum(entries)} bytes, ${ours} of them ours`);
  assert.ok(ours > MEGABYTE, "the weights are missing");
  assert.ok(sum(entries) <= 15 * MEGABYTE && ours <= 3 * MEGABYTE);
  await context.close();
});

test("threads, where the page is isolated; the same faces", { timeout: PATIENCE }, async () => {
  const isolated = await startServer({
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
  });
  const { page, context } = await open(browser, `${isolated.origin}/web/page/index.html`);
  await choose(page, "twenty.png");
  await says(page, "20 faces in");
  const cpus = await page.evaluate(() => navigator.hardwareConcurrency);
  const told = await page.locator("#license").innerText();
  assert.match(told, cpus > 1 ? /on [234] threads\.$/ : /on one thread\.$/);
  await context.close();
});

for (const [what, answer, message] of [
  ["missing", (route) => route.fulfill({ status: 404 }), "cannot be fetched: status 404"],
  ["damaged", (route) => route.fulfill({ body: "damaged" }), "expected the file of SHA-256"],
]) {
  pageTest(`weights are ${what}`, async (page, context) => {
    await context.route("**/*.onnx", answer);
    await page.reload();
    await alert(page).filter({ hasText: message }).waitFor();
  });
}

pageTest("the open family is used, and the research one without it", async (page, context) => {
  await says(page, "Ready.");
  const loaded = () =>
    page.evaluate(async () => {
      const { load } = await import("../src/index.js");
      const asmnet = await load({ weights: "../vendor/asmnet" });
      asmnet.close();
      return asmnet.loaded;
    });
  const own = await loaded();
  assert.equal(own.family, "open");
  await context.route("**/weights_manifest.json", async (route) => {
    const manifest = await (await route.fetch()).json();
    manifest.families = { research: manifest.families.open };
    await route.fulfill({ json: manifest });
  });
  assert.deepEqual(await loaded(), { ...own, family: "research" });
});
