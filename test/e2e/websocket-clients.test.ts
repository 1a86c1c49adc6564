/** WebSockets as users meet them: the snippets of their page, and the client library in a real browser. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Millrace as MillraceClient } from "millrace-client";
import type { MillraceServer } from "#src/index.js";
import { launchBrowser, skipWithoutBrowser } from "../support/browser.js";
import { startReal, translate } from "../support/real-server.js";

const limit = { timeout: 120_000 };
const here = "127.0.0.1:8400";

/** The program below `<!-- name -->`, for a server elsewhere. */
function snippet(name: string, url: string): string {
  const page = readFileSync("docs/clients/websocket.md", "utf8");
  const [, program = ""] =
    new RegExp(`<!-- ${name} -->\\s*\`\`\`ts\\n(.*?)\`\`\``, "s").exec(page) ?? [];
  assert.ok(program.includes(here), `the page has no ${name}`);
  return program.replaceAll(here, new URL(url).host);
}

async function run(program: string): Promise<string> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  assert.deepEqual([err, code as unknown], ["", 0]);
  return out;
}

describe("WebSockets, as users meet them", () => {
  let page: Page;
  let server: MillraceServer;
  before(async () => {
    page = await servePage();
    server = await startReal({ pipelines: 1, corsOrigins: page.url });
  }, limit);
  after(async () => {
    await server.close();
    await page[Symbol.asyncDispose]();
  });

  test("the page's stream: outcomes with their places", limit, async () => {
    const lines = (await run(snippet("stream", server.url))).trimEnd().split("\n");
    assert.deepEqual(lines.map((line) => line.slice(0, 2)).toSorted(), ["0 ", "1 "]);
    for (const line of lines) assert.match(line, /\p{Script=Han}/u);
  });

  test("the page's pair of pipes", limit, async () => {
    assert.match(await run(snippet("pair", server.url)), /^7 .*\p{Script=Han}.*\n$/u);
  });

  test("the page's client of the library", limit, async () => {
    assert.match(await run(snippet("library", server.url)), /^(.*\p{Script=Han}.*\n){2}$/u);
  });

  test("in a browser: the same over fetch and over a WebSocket, and nothing for a page of somebody else", {
    ...limit,
    skip: skipWithoutBrowser,
  }, async () => {
    const { results } = await translate(server.url, { texts: ["Good morning.", "See you."] });
    const expected = results.map((result) => ("text" in result ? result.text : ""));
    await using stranger = await servePage();
    const browser = await launchBrowser();
    try {
      const own = await browser.newPage();
      await own.goto(page.url);
      const foreign = await browser.newPage();
      await foreign.goto(stranger.url);
      for (const webSocket of [false, true]) {
        const asked = { url: server.url, webSocket };
        assert.deepEqual(await own.evaluate(translateInPage, asked), expected);
        assert.equal(await foreign.evaluate(translateInPage, asked), "connection_failed");
      }
    } finally {
      await browser.close();
    }
  });
});

interface Asked {
  readonly url: string;
  readonly webSocket: boolean;
}

/** Runs in the page. */
async function translateInPage({ url, webSocket }: Asked): Promise<unknown> {
  const { Millrace } = Reflect.get(globalThis, "client") as {
    readonly Millrace: typeof MillraceClient;
  };
  const client = new Millrace(url, { webSocket, retry: { attemptsMax: 1 } });
  try {
    const { results } = await client.translate(["Good morning.", "See you."]);
    return results.map((result) => ("text" in result ? result.text : result.error.code));
  } catch (error) {
    return (error as { code?: string }).code;
  } finally {
    client.close();
  }
}

interface Page extends AsyncDisposable {
  readonly url: string;
}

/** A page with the client, from an origin of its own. */
async function servePage(): Promise<Page> {
  const script = await bundle();
  const server = createHttpServer((_, reply) => {
    reply.setHeader("content-type", "text/html").end(`<script>${script}</script>`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve("millrace-client"))],
    bundle: true,
    write: false,
    platform: "browser",
    format: "iife",
    globalName: "client",
    logLevel: "silent",
  });
  return outputFiles[0]?.text ?? "";
}
