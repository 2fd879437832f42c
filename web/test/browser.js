/** Debian's Chromium, a server of this folder and of the tests' pictures, for each test file. */

import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { serve } from "./server.js";

export const WEB = dirname(dirname(fileURLToPath(import.meta.url)));
export const ARTEFACTS = join(WEB, "artefacts");
const SCREENSHOTS = join(ARTEFACTS, "screenshots");

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.CHROMIUM ?? PLACES.find((path) => existsSync(path));
if (executablePath === undefined) {
  throw new Error("expected Chromium: apt-get install chromium, or CHROMIUM=its path");
}

// A busy machine may take its time; what never comes fails all the same.
export const PATIENCE = 120_000;

/** @type {{close: () => unknown}[]} */
const running = [];
after(() => Promise.all(running.map((part) => part.close())));

/** @param {string[]} args  more switches of Chromium */
export async function startBrowser(args = []) {
  // Chromium's sandbox does not work for root, as whom containers run.
  const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const browser = await chromium.launch({ executablePath, args: [...root, ...args] });
  running.push(browser);
  return browser;
}

/** @param {Record<string, string>} [headers] @param {Record<string, string>} [folders] */
export async function startServer(headers, folders = { web: WEB, artefacts: ARTEFACTS }) {
  const server = await serve(folders, headers);
  running.push(server);
  return server;
}

/**
 * A page of its own, whose errors fail the test that has it.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {string} address
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function open(browser, address, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(address);
  return { page, context, errors };
}

/** @param {import("playwright-core").Page} page @param {string} name */
export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}
