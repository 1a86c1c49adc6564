/** Web pages in a browser on the server's machine, where nobody is asked for a key: what they send is known by its name and origin. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { startEcho } from "../support/echo-server.js";
import { Keys } from "../support/keys.js";

const limit = { timeout: 30_000 };

/** Bytes, as `fetch` sets the name itself. */
async function status(url: string, head: readonly string[], body = ""): Promise<number> {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  const sized = body === "" ? [] : [`content-length: ${body.length}`];
  socket.write(`${[...head, "connection: close", ...sized, "", body].join("\r\n")}`);
  const [, code] = /^HTTP\/1.1 (\d+)/.exec(await text(socket)) ?? assert.fail("no reply");
  return Number(code);
}

const named = (url: string, host: string): Promise<number> =>
  status(url, ["GET /v1/models HTTP/1.1", `host: ${host}`]);

test(
  "defect: a page that has its name mean this machine reads nothing where no keys are asked for",
  limit,
  async () => {
    await using echo = await startEcho({
      corsOrigins: "https://app.example,http://lab.example:8400",
    });
    const { url } = echo.server;
    const own = new URL(url).host;
    const good = [own, "127.0.0.1", "[::1]:8400", "localhost", "LOCALHOST:1", "localhost.:1"];
    const more = ["app.localhost:1", "192.168.0.7:80", "app.example", "App.example"];
    for (const host of [...good, ...more, "lab.example:8400"]) {
      assert.equal(await named(url, host), 200, host);
    }
    for (const host of [
      "evil.example",
      `evil.example:${new URL(url).port}`,
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "evil-localhost",
      "evil.example:80@127.0.0.1",
      "evil.example/@localhost",
      "lab.example:8401",
      "x",
      "",
      "[::1",
    ]) {
      assert.equal(await named(url, host), 403, host);
    }
    // Who says no name at all is no browser.
    assert.equal(await status(url, ["GET /v1/models HTTP/1.0"]), 200);
    // Not even who may not come in by other means: WebSockets, leave to send, health.
    const evil = "host: evil.example";
    for (const head of [
      ["GET /live HTTP/1.1", evil],
      ["GET /v1/stream HTTP/1.1", evil, "connection: upgrade", "upgrade: websocket"],
      ["OPTIONS /v1/embed HTTP/1.1", evil, "access-control-request-method: POST"],
    ]) {
      assert.equal(await status(url, head), 403, head[0]);
    }
  },
);

test(
  "a name of its own is answered to where keys, or --insecure, keep pages out",
  limit,
  async () => {
    await using keys = await Keys.make();
    const key = await keys.add("shop");
    await using keyed = await keys.serve({ adminPort: 0 });
    const head = ["GET /v1/models HTTP/1.1", "host: gate.example", `authorization: Bearer ${key}`];
    assert.equal(await status(keyed.server.url, head), 200);
    // Nobody is asked for a key at the operators' port, whatever the main one does.
    const admin = keyed.server.adminUrl ?? "";
    assert.equal(await status(admin, ["GET /status HTTP/1.1", "host: evil.example"]), 403);
    assert.equal(await status(admin, ["GET /status HTTP/1.1", "host: localhost"]), 200);
    await using insecure = await startEcho({ insecure: true });
    assert.equal(await named(insecure.server.url, "gate.example"), 200);
    await using local = await startEcho({ host: "localhost" });
    assert.equal(await named(local.server.url, "localhost"), 200);
  },
);

test(
  "defect: a page of another origin sets nothing to work by a request that browsers ask nobody about",
  limit,
  async () => {
    await using echo = await startEcho({ corsOrigins: "https://app.example" });
    const { url } = echo.server;
    const { host } = new URL(url);
    const reload = (origin: string | null): Promise<number> =>
      status(url, [
        "POST /v1/models/reload HTTP/1.1",
        `host: ${host}`,
        ...(origin === null ? [] : [`origin: ${origin}`]),
      ]);
    for (const origin of [
      "https://evil.example",
      "null",
      `http://${host}0`,
      "http://localhost:1",
    ]) {
      assert.equal(await reload(origin), 403, origin);
    }
    for (const origin of [null, "https://app.example", `http://${host}`]) {
      assert.equal(await reload(origin), 200, String(origin));
    }
    const form = "content-type: application/x-www-form-urlencoded";
    const head = ["POST /v2/translate HTTP/1.1", `host: ${host}`, "origin: https://evil.example"];
    assert.equal(await status(url, [...head, form], "text=a&target_lang=DE"), 403);
    assert.deepEqual(echo.submit.seen, []);
  },
);

test(
  "attack: a page of another site holds no recording and no stream of the status",
  limit,
  async () => {
    await using echo = await startEcho({ corsOrigins: "https://app.example" });
    const { url } = echo.server;
    const { host } = new URL(url);
    const held = (path: string, ...more: readonly string[]): Promise<number> =>
      status(url, [`GET ${path} HTTP/1.1`, `host: ${host}`, ...more]);
    const path = "/status/events?looks=1";
    for (const head of [
      "sec-fetch-site: cross-site",
      "sec-fetch-site: same-site",
      "origin: https://evil.example",
    ])
      assert.equal(await held(path, head), 403, head);
    for (const head of [
      "accept: */*",
      "sec-fetch-site: none",
      "sec-fetch-site: same-origin",
      "origin: https://app.example",
    ])
      assert.equal(await held(path, head), 200, head);
    // An answer that a page cannot read is hidden from it, as ever.
    assert.equal(await held("/v1/models", "sec-fetch-site: cross-site"), 200);
  },
);
