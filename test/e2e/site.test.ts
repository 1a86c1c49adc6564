/** The docs as a site: whole in itself under any path, and in a real browser without a complaint. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, extname, join, posix } from "node:path";
import { after, before, test } from "node:test";
import axe from "axe-core";
import { writeSite } from "../../site/main.js";
import { launchBrowser, skipWithoutBrowser } from "../support/browser.js";
import { longTest } from "../support/long.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let out: string;

before(async () => {
  temp = await TempDir.make();
  out = temp.file("site");
  await writeSite(out);
});

after(async () => {
  await temp[Symbol.asyncDispose]();
});

test("attack: a folder that is no site is left as it is", async () => {
  const other = temp.file("other");
  mkdirSync(other);
  writeFileSync(join(other, "thesis.md"), "years");
  await assert.rejects(writeSite(other), /is no site, and not empty/);
  assert.deepEqual(readdirSync(other), ["thesis.md"]);
});

test("every address in every page is relative and there, anchors too", () => {
  const names = readdirSync(out, { recursive: true, encoding: "utf8" });
  const pages = new Map(
    names
      .filter((name) => name.endsWith(".html"))
      .map((name) => [name, readFileSync(join(out, name), "utf8")]),
  );
  assert.ok(pages.size > 60);
  for (const [name, html] of pages) {
    assert.ok(!html.includes("<!-- "), name);
    for (const [, address = ""] of html.matchAll(/ (?:href|src)="([^"]*)"/g)) {
      if (/^(https?|mailto):/.test(address)) continue;
      const [file = "", anchor] = decodeURI(address).split("#");
      assert.ok(!file.startsWith("/"), `${name}: ${address}`);
      const target = file === "" ? name : posix.join(dirname(name), file);
      assert.ok(existsSync(join(out, target)), `${name}: ${address}`);
      if (anchor === undefined) continue;
      assert.ok(pages.get(target)?.includes(`id="${anchor}"`), `${name}: ${address}`);
    }
    for (const [tag] of html.matchAll(/<(?:script|link|img|iframe)\b[^>]*>/g))
      assert.doesNotMatch(tag, /https?:/, name);
  }
});

const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".css": "text/css",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

/** A host of files, with a policy that lets in nothing but its own. */
async function serveFiles(under: string, asked: string[]): Promise<Server> {
  const server = createServer((request, reply) => {
    const { pathname } = new URL(request.url ?? "/", "http://here");
    asked.push(pathname);
    const name = pathname.startsWith(under) ? pathname.slice(under.length) : "?";
    const path = join(out, name === "" || name.endsWith("/") ? `${name}index.html` : name);
    if (!existsSync(path)) return void reply.writeHead(404).end();
    const type = types[extname(path)] ?? "application/octet-stream";
    const policy =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";
    reply.writeHead(200, { "content-type": type, "content-security-policy": policy });
    reply.end(readFileSync(path));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return server;
}

longTest(
  "in a browser: no complaint, no other host, accessible in both themes, found by its search, no wider than a telephone",
  {
    skip: skipWithoutBrowser,
    timeout: 60_000,
  },
  async () => {
    const asked: string[] = [];
    const server = await serveFiles("/some/where/", asked);
    const browser = await launchBrowser();
    try {
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/some/where/`;
      const complaints: string[] = [];
      for (const [address, colorScheme, width] of [
        ["", "light", 1400],
        ["docs/options.html", "dark", 1400],
        ["docs/benchmarks.html", "light", 390],
      ] as const) {
        const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(error.message));
        page.on("request", (request) => {
          if (!request.url().startsWith(url)) complaints.push(request.url());
        });
        page.on("response", (response) => {
          if (!response.ok()) complaints.push(`${response.status()} ${response.url()}`);
        });
        await page.goto(url + address);
        await page.evaluate(axe.source);
        const found = await page.evaluate(
          `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes[0].html))`,
        );
        assert.deepEqual(found, [], address);
        const isWider = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
        assert.equal(isWider, false, address);
        await page.keyboard.press("/");
        await page.keyboard.type("what durable means");
        await page.keyboard.press("Enter");
        await page.waitForURL(/\/docs\/jobs\.html#what-durable-means$/);
        await page.close();
      }
      assert.deepEqual(complaints, []);
      assert.ok(asked.includes("/some/where/search.json"));
    } finally {
      await browser.close();
      server.close();
    }
  },
);
