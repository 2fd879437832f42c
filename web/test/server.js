/** A web server on loopback, for the tests. */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript",
  ".mjs": "text/javascript", ".json": "application/json", ".wasm": "application/wasm",
  ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".svg": "image/svg+xml",
};

/**
 * Serves folders by the first part of the address.
 *
 * @param {Record<string, string>} folders
 * @param {Record<string, string>} [headers]
 * @returns {Promise<{origin: string, sizes: Map<string, number>, close: () => void}>} and how many
 *   bytes each path that was asked for has
 */
export async function serve(folders, headers = {}) {
  const sizes = new Map();
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://a").pathname));
    const [, first, ...rest] = path.split("/");
    try {
      const file = join(folders[first], ...(rest.at(-1) ? rest : [...rest, "index.html"]));
      const content = await readFile(file);
      sizes.set(path, content.length);
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "cache-control": "no-store", ...headers });
      response.end(content);
    } catch {
      sizes.set(path, 0);
      response.writeHead(404, headers).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = server.address();
  return {
    origin: `http://127.0.0.1:${port}`,
    sizes,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
