import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { KeepAliveCaller } from "../../bench/harness/keep-alive-caller.js";

/** A server of bytes: each function answers one request of the connection. */
async function answering(...answers: ((socket: Socket) => void)[]) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => answers.shift()?.(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    url: new URL(`http://127.0.0.1:${address.port}/v1/translate`),
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a reply that comes byte by byte, and the next one on the same connection", async () => {
  const whole = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n水ab");
  await using server = await answering(
    (socket) => {
      for (const byte of whole) socket.write(Buffer.of(byte));
    },
    (socket) => socket.write("HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n"),
  );
  using caller = await KeepAliveCaller.open(server.url);
  assert.deepEqual(await caller.post("{}"), { status: 200, reply: "水ab" });
  assert.deepEqual(await caller.post("{}"), { status: 503, reply: "" });
});

test("what has no length, or ends before it, is no reply", async () => {
  await using server = await answering(
    (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"),
    (socket) => socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
  );
  using cut = await KeepAliveCaller.open(server.url);
  await assert.rejects(cut.post("{}"), /closed the connection/);
  await assert.rejects(cut.post("{}"), /closed/);
  using chunked = await KeepAliveCaller.open(server.url);
  await assert.rejects(chunked.post("{}"), /no reply with a length/);
});
