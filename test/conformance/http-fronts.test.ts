/** The listener under a protocol that is not ours: what a second front can rely on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { MillraceError } from "millrace-client/wire";
import type { Exchange, HttpFront, Route } from "#src/listen/http/http-front.js";
import { get, TestFront } from "../support/http-front.js";

/** Tensors in, tensors out; errors are one line of text. */
function tensorFront(): HttpFront {
  const post = (path: string, handler: Route["handler"]): Route => ({
    path,
    method: "POST",
    handler,
  });
  return {
    name: "tensors",
    pathPrefixes: ["/v2/"],
    renderError: (error) => ({ status: 418, contentType: "text/plain", body: `E ${error.code}` }),
    routes: [
      post("/v2/models/{m}/infer", async (exchange) => {
        const body = await exchange.receive();
        const bytes = body.buffer();
        body.release();
        const said = `${exchange.params["m"] ?? ""} ${exchange.query.get("n") ?? ""} `;
        exchange.reply({
          status: 200,
          contentType: "application/octet-stream",
          body: Buffer.concat([Buffer.from(said), bytes]),
        });
      }),
      post("/v2/stream", async (exchange) => {
        const head = { status: 200, contentType: "text/event-stream", signOfLife: ":\n\n" };
        const stream = exchange.stream(head);
        for (const n of [1, 2]) stream.write(`data: ${n}\n\n`);
        await stream.end();
      }),
      post("/v2/nothing", () => {}),
      post("/v2/half", (exchange: Exchange) => {
        const head = { status: 200, contentType: "text/plain", signOfLife: "\n" };
        exchange.stream(head).write("half");
        throw new MillraceError("internal", "a bug of the front");
      }),
    ],
  };
}

const start = (): Promise<TestFront> =>
  TestFront.start({ bodyBytesMax: 2048 }, {}, [tensorFront()]);

async function ask(front: TestFront, path: string, init: RequestInit): Promise<string> {
  const response = await fetch(`${front.url}${path}`, { method: "POST", ...init });
  assert.match(response.headers.get("x-millrace-deployment") ?? "", /name=echo/);
  return `${response.status} ${Buffer.from(await response.arrayBuffer()).toString("latin1")}`;
}

test("a path's names, its query and bytes that are no text reach the handler and come back", async () => {
  await using front = await start();
  const bytes = Buffer.from([0, 255, 254, 10]);
  const url = "/v2/models/a%2Fb/infer?n=7";
  assert.equal(await ask(front, url, { body: bytes }), "200 a/b 7 \u0000\u00ff\u00fe\n");
  const headers = { "content-encoding": "gzip" };
  assert.equal(
    await ask(front, url, { body: gzipSync(bytes), headers }),
    "200 a/b 7 \u0000\u00ff\u00fe\n",
  );
  assert.equal(await ask(front, url, {}), "200 a/b 7 ");
});

test("whatever fails under a front's paths is told in its words", async () => {
  await using front = await start();
  const infer = "/v2/models/a/infer";
  assert.equal(await ask(front, "/v2/nowhere", {}), "418 E not_found");
  assert.equal(await ask(front, infer, { method: "PUT" }), "418 E method_not_allowed");
  assert.equal(await ask(front, infer, { body: Buffer.alloc(4096) }), "418 E body_too_large");
  const headers = { "content-encoding": "zstd" };
  assert.equal(await ask(front, infer, { body: "x", headers }), "418 E unsupported_media_type");
  const other = { "x-millrace-expect": "environment=prod" };
  assert.equal(await ask(front, infer, { headers: other }), "418 E deployment_mismatch");
  assert.match(await ask(front, "/v1/nowhere", {}), /^404 \{"error":\{"code":"not_found"/);
});

test("where no path is known, the first front of the list has the word", async () => {
  await using front = await start();
  const socket = await front.raw();
  socket.send("no HTTP\r\n\r\n");
  assert.match(await socket.closed(), /^HTTP\/1.1 400 [\s\S]*\{"error":\{"code":"bad_request"/);
});

test("a stream of another kind", async () => {
  await using front = await start();
  assert.equal(await ask(front, "/v2/stream", {}), "200 data: 1\n\ndata: 2\n\n");
});

test("a front that does not reply, or breaks off, holds no connection", async () => {
  await using front = await start();
  assert.equal(await ask(front, "/v2/nothing", {}), "418 E internal");
  await assert.rejects(ask(front, "/v2/half", {}));
  const socket = await front.raw();
  socket.send(get("/live"));
  await socket.until(/"live":true/);
});
