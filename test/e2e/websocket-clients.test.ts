/** WebSockets as users meet them: the snippets of their page, and the client library in a real browser. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
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
  let server: MillraceServer;
  before(async () => {
    server = await startReal({ pipelines: 1 });
  }, limit);
  after(() => server.close());

  test("the page's stream: outcomes with their places", limit, async () => {
    const lines = (await run(snippet("stream", server.url))).trimEnd().split("\n");
    assert.deepEqual(lines.map((line) => line.slice(0, 2)).toSorted(), ["0 ", "1 "]);
    for (const line of lines) assert.match(line, /\p{Script=Han}/u);
  });

  test("the page's pair of pipes", limit, async () => {
    assert.match(await run(snippet("pair", server.url)), /^7 .*\p{Script=Han}.*\n$/u);
  });

  test("the page's client of the library", limit, async () => {
    assert.match(await run(snippet("library", server.url)), /^.*\p{Script=Han}.*\n$/u);
  });

  test("in a browser: the same over fetch and over a WebSocket, and nothing for a page of somebody else", {
    ...limit,
    skip: skipWithoutBrowser,
  }, async () => {
    const { results } = await translate(server.url, { texts: ["Good morning.", "See you."] });
    const expected = results.map((result) => ("text" in result ? result.text : ""));
    await using page = await servePage(server.url);
    const browser = await launchBrowser();
    try {
      const own = await browser.newPage();
      await own.goto(page.url);
      for (const webSocket of [false, true]) {
        const texts = await own.evaluate(translateInPage, { url: page.url, webSocket });
        assert.deepEqual(texts, expected, `webSocket: ${webSocket}`);
      }
      assert.deepEqual(page.upgrades, ["/v1/stream"]);
      const foreign = await own.evaluate(translateInPage, { url: server.url, webSocket: true });
      assert.equal(foreign, "connection_failed");
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
  /** Paths of the WebSockets that went through it. */
  readonly upgrades: readonly string[];
}

/** A page with the client, and behind it the server, as a proxy has them under one origin. */
async function servePage(behind: string): Promise<Page> {
  const script = await bundle();
  const upgrades: string[] = [];
  const { hostname, port } = new URL(behind);
  const ask = ({ method, url, headers }: IncomingMessage) =>
    request({ hostname, port, method, path: url, headers });
  const proxy = createServer((incoming, reply) => {
    if (incoming.url === "/") {
      reply.setHeader("content-type", "text/html").end(`<script>${script}</script>`);
      return;
    }
    const asked = ask(incoming);
    asked.on("response", (response) => {
      reply.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(reply);
    });
    incoming.pipe(asked);
  });
  proxy.on("upgrade", (incoming: IncomingMessage, socket: Socket) => {
    upgrades.push(incoming.url ?? "");
    const asked = ask(incoming);
    asked.on("upgrade", (response, other: Socket, head: Buffer) => {
      const lines = Object.entries(response.headers).map(
        ([name, value]) => `${name}: ${String(value)}`,
      );
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("\r\n")}\r\n\r\n`);
      other.unshift(head);
      other.pipe(socket).pipe(other);
      socket.on("error", () => other.destroy());
      other.on("error", () => socket.destroy());
    });
    asked.end();
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    upgrades,
    async [Symbol.asyncDispose]() {
      const closed = once(proxy, "close");
      proxy.close();
      proxy.closeAllConnections();
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
