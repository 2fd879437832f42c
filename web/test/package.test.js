/** What `npm pack` makes works in an app that has nothing else. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { ARTEFACTS, PATIENCE, WEB, startBrowser, startServer } from "./browser.js";

const folder = mkdtempSync(join(tmpdir(), "asmnet-web-"));
const contents = join(folder, "asmnet");
let size;

after(() => rmSync(folder, { recursive: true }));

before(() => {
  const options = { cwd: WEB, encoding: "utf-8" };
  const told = execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], options);
  const file = join(folder, told.trim().split("\n").at(-1));
  size = statSync(file).size;
  execFileSync("tar", ["-xzf", file, "-C", folder]);
  cpSync(join(folder, "package"), contents, { recursive: true });
}, { timeout: PATIENCE });

test("it holds what it needs, and the licence of each part", (t) => {
  t.diagnostic(`${size} bytes`);
  const all = readdirSync(contents);
  const expected = [
    "LICENSE", "LICENSES", "NOTICE", "README.md", "package.json", "src", "types", "vendor",
  ];
  assert.deepEqual(all.sort(), expected);
  const notice = readFileSync(join(contents, "NOTICE"), "utf-8");
  for (const [name] of notice.matchAll(/LICENSE(S\/[\w.-]+\w)?/g)) {
    assert.ok(statSync(join(contents, name)).size > 500, name);
  }
  const weights = readdirSync(join(contents, "vendor", "asmnet", "weights"));
  assert.equal(weights.length, 3);
  const bytes = weights.map((name) => statSync(join(contents, "vendor/asmnet/weights", name)).size);
  assert.ok(bytes.reduce((a, b) => a + b) <= 3_000_000);
});

test("its version is asmnet's", () => {
  const { version } = JSON.parse(readFileSync(join(contents, "package.json"), "utf-8"));
  const python = readFileSync(join(dirname(WEB), "asmnet", "_version.py"), "utf-8");
  assert.ok(python.includes(`__version__ = "${version}"`));
});

test("the lines of its README run", { timeout: PATIENCE }, async () => {
  const readme = readFileSync(join(contents, "README.md"), "utf-8");
  const [, html] = readme.match(/```html\n([^]*?)```/);
  assert.ok(html.trim().split("\n").length <= 10);
  writeFileSync(join(folder, "index.html"), `<!doctype html>\n${html}`);
  cpSync(join(ARTEFACTS, "pictures", "apollo11_crew.jpg"), join(folder, "photo.jpg"));
  const server = await startServer({}, { app: folder });
  const page = await (await startBrowser()).newPage();
  const lines = [];
  const three = new Promise((resolve, reject) => {
    page.on("console", (message) => {
      if (message.type() === "log" && lines.push(message.text()) === 3) resolve(lines);
    });
    page.on("pageerror", reject);
  });
  await page.goto(`${server.origin}/app/index.html`);
  await three;
  for (const line of lines) assert.match(line, /^\[[\d.]+, .*\] (1|0\.\d+) -?[\d.]+ \[[\d.]+, [\d.]+\]$/);
});

test("an app in TypeScript has its types", () => {
  const modules = join(folder, "app", "node_modules");
  mkdirSync(modules, { recursive: true });
  cpSync(contents, join(modules, "asmnet"), { recursive: true });
  const right = `import { load, type Face } from "asmnet";
    import { drawFaces } from "asmnet/draw";
    export async function yaw(video: HTMLVideoElement, over: CanvasRenderingContext2D) {
      const asmnet = await load({ weights: "/weights/" });
      const faces: Face[] = await asmnet.track({ maxFaces: 1 }).update(video, 1);
      drawFaces(over, faces, { axes: false });
      return faces[0].pose.yaw + (faces[0].track_id ?? 0) + faces[0].landmarks[30][0];
    }`;
  const check = (name, text) => {
    writeFileSync(join(folder, "app", name), text);
    const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"];
    const tsc = join(WEB, "node_modules", ".bin", "tsc");
    execFileSync(tsc, [...options, "--types", "", name], { cwd: join(folder, "app") });
  };
  writeFileSync(join(folder, "app", "package.json"), '{ "type": "module" }');
  check("right.ts", right);
  assert.throws(() => check("wrong.ts", right.replace("pose.yaw", "pose.jaw")));
});
