/** What the client over a WebSocket did wrong when its server was silent, full, or would not have what it sent. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { Millrace } from "millrace-client";
import { WebSocket, WebSocketServer } from "ws";
import { TestFront } from "../support/http-front.js";
import { deployment } from "../support/http-server.js";

const options = { webSocket: WebSocket, sharing: false } as const;

function portOf(server: { readonly address: () => unknown }): string {
  const port: unknown = Reflect.get(Object(server.address()), "port");
  return `http://127.0.0.1:${String(port)}`;
}

test("defect: a handshake that nobody answers is not waited for again: the next attempt has a connection of its own", async (t) => {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => {});
    t.after(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const retry = { attemptsMax: 3, delayMs: 0 };
  await using client = new Millrace(portOf(server), { ...options, retry, headMsMax: 200 });
  await assert.rejects(client.translate("a"), { code: "connection_failed" });
  assert.equal(connections, 3);
});

test("defect: a connection whose only caller left before the greeting is closed, and keeps no process alive", async (t) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  t.after(() => server.close());
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using client = new Millrace(portOf(server), options);
  const abort = new AbortController();
  const asked = assert.rejects(client.translate("a", { signal: abort.signal }), {
    code: "cancelled",
  });
  const [socket] = (await once(server, "connection")) as [WebSocket];
  abort.abort();
  await asked;
  const closed = once(socket, "close");
  socket.send(JSON.stringify({ type: "hello", deployment }));
  t.mock.timers.tick(5_000);
  await closed;
});

test("defect: what is too large for the server fails as over HTTP, and is not sent again; its neighbours are", async () => {
  await using front = await TestFront.start({ bodyBytesMax: 1_024 });
  await using client = new Millrace(front.url, { ...options, retry: { delayMs: 0 } });
  await using overHttp = new Millrace(front.url, { sharing: false });
  front.submit.hold();
  const neighbour = client.translate("abc");
  await front.submit.arrived(1);
  for (const each of [client, overHttp]) {
    const large = each.translate("x".repeat(2_048));
    await assert.rejects(large, { code: "body_too_large", retryable: false });
  }
  front.submit.release();
  const { results } = await neighbour;
  assert.equal("text" in (results[0] ?? {}), true);
  // Once on the connection that ended, once anew; what was too large is not among them.
  assert.equal(front.submit.seen.length, 2);
});

test("defect: more calls at once than a connection has requests are not refused: there is a second connection", async () => {
  await using front = await TestFront.start();
  await using client = new Millrace(front.url, { ...options, retry: { attemptsMax: 1 } });
  front.submit.hold();
  const all = Array.from({ length: 600 }, (_, index) => client.translate(String(index)));
  await front.submit.arrived(600);
  assert.equal(front.front.held().connections, 3);
  front.submit.release();
  const texts = (await Promise.all(all)).map(({ results: [first] }) =>
    first !== undefined && "text" in first ? first.text : "",
  );
  assert.equal(texts[543], "345");
});
