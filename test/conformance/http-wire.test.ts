/** What happens on the socket: slow, lying, leaving and pipelining callers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorResponse, TranslateLine } from "millrace-client/wire";
import { get, post, sized, TestFront } from "../support/http-front.js";

const getLive = get("/live");
const getModels = get("/v1/models");

test("a body that stops half-way is answered with body_timeout, and the connection closes", async () => {
  await using front = await TestFront.start({ bodyTimeoutMs: 50 });
  const socket = await front.raw();
  socket.send(post('{"texts":', "content-length: 100"));
  const reply = await socket.closed();
  assert.match(reply, /^HTTP\/1.1 408 /);
  assert.match(reply, /"code":"body_timeout"/);
  assert.match(reply, /x-millrace-deployment: name=echo/i);
  assert.match(await (await fetch(`${front.url}/live`)).text(), /"live":true/);
});

test("headers that never end are answered with body_timeout", async () => {
  await using front = await TestFront.start({ headersTimeoutMs: 50 });
  const socket = await front.raw();
  socket.send("GET /live HTTP/1.1\r\nhost: x\r\nx-slow: ");
  const reply = await socket.closed();
  assert.match(reply, /^HTTP\/1.1 408 /);
  assert.match(reply, /"code":"body_timeout"/);
});

test("a body longer than its limit, sent in chunks, is answered before its end", async () => {
  await using front = await TestFront.start({ bodyBytesMax: 2048 });
  const socket = await front.raw();
  socket.send(post("", "transfer-encoding: chunked"));
  const chunk = "a".repeat(1024);
  for (let i = 0; i < 4; i++) socket.send(`400\r\n${chunk}\r\n`);
  const reply = await socket.closed();
  assert.match(reply, /^HTTP\/1.1 413 /);
  assert.match(reply, /connection: close/i);
  assert.match(reply, /"code":"body_too_large"/);
});

test("a declared length over the limit is answered without reading the body", async () => {
  await using front = await TestFront.start({ bodyBytesMax: 2048 });
  const socket = await front.raw();
  socket.send(post("", "content-length: 99999999999"));
  assert.match(await socket.closed(), /^HTTP\/1.1 413 [\s\S]*"code":"body_too_large"/);
});

test("a caller that is refused while it still sends gets the whole reply, and no reset before it", async () => {
  await using front = await TestFront.start({ bodyBytesMax: 2048 });
  const socket = await front.raw();
  const body = "a".repeat(16 * 1024 * 1024);
  socket.send(post(body, `content-length: ${body.length}`));
  assert.match(await socket.closed(), /^HTTP\/1.1 413 [\s\S]*"code":"body_too_large"/);
});

test("a length shorter than the body: the rest is no request, and is answered as such", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  socket.send(post('{"texts":"ab"} trailing bytes\r\n\r\n', "content-length: 14"));
  const reply = await socket.closed();
  assert.match(reply, /^HTTP\/1.1 200 [\s\S]*"text":"ba"[\s\S]*HTTP\/1.1 400 [\s\S]*bad_request/);
});

test("garbage behind a request that is at work is answered after it", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const socket = await front.raw();
  socket.send(`${sized('{"texts":"ab"}')}\u0000\u0001 nonsense\r\n\r\n`);
  await front.submit.arrived(1);
  front.submit.release();
  const reply = await socket.closed();
  assert.match(reply, /^HTTP\/1.1 200 [\s\S]*"text":"ba"[\s\S]*HTTP\/1.1 400 [\s\S]*bad_request/);
});

const malformed: readonly (readonly [what: string, bytes: string, status: number, code: string])[] =
  [
    ["no HTTP", "hello\r\n\r\n", 400, "bad_request"],
    ["TLS", "\u0016\u0003\u0001\u0002", 400, "bad_request"],
    ["two lengths", post("{}", "content-length: 2", "content-length: 3"), 400, "bad_request"],
    [
      "length and chunks",
      post("{}", "content-length: 2", "transfer-encoding: chunked"),
      400,
      "bad_request",
    ],
    ["a negative length", post("{}", "content-length: -2"), 400, "bad_request"],
    ["a bad chunk", `${post("", "transfer-encoding: chunked")}zz\r\n`, 400, "bad_request"],
    [
      "large headers",
      `GET /live HTTP/1.1\r\nx: ${"a".repeat(20_000)}\r\n\r\n`,
      431,
      "headers_too_large",
    ],
  ];
for (const [what, bytes, status, code] of malformed) {
  test(`malformed HTTP, ${what} → ${status} ${code}`, async () => {
    await using front = await TestFront.start();
    const socket = await front.raw();
    socket.send(bytes);
    const reply = await socket.closed();
    assert.match(reply, new RegExp(`^HTTP/1.1 ${status} `));
    const body = JSON.parse(reply.slice(reply.indexOf("\r\n\r\n") + 4)) as ErrorResponse;
    assert.equal(body.error.code, code);
    assert.match(reply, /x-millrace-deployment: name=echo/i);
    assert.match(await (await fetch(`${front.url}/live`)).text(), /"live":true/);
  });
}

test("pipelined requests are answered in order on one connection", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  socket.send(sized('{"texts":"one"}') + getLive + sized('{"texts":"two"}'));
  const reply = await socket.until(/owt/);
  assert.match(reply, /"text":"eno"[\s\S]*"live":true[\s\S]*"text":"owt"/);
});

test("an error keeps the connection when the body was small", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  socket.send(sized('{"texts":7}') + sized("{}").replace("/v1/translate", "/nowhere") + getLive);
  assert.match(await socket.until(/"live":true/), / 400 [\s\S]* 404 [\s\S]* 200 /);
});

test("a caller that waits for leave is refused before it sends the body", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  socket.send(post("", "content-length: 999999999", "expect: 100-continue"));
  const reply = await socket.until(/\r\n\r\n\{.*\}/);
  assert.match(reply, /^HTTP\/1.1 413 /, "no `100 Continue` before it");
});

test("a caller that waits for leave gets it when its headers are right", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  socket.send(post("", "content-length: 14", "expect: 100-continue"));
  await socket.until(/^HTTP\/1.1 100 Continue\r\n\r\n/);
  socket.send('{"texts":"ab"}');
  assert.match(await socket.until(/"ba"/), /HTTP\/1.1 200 OK/);
});

test("a caller that leaves aborts the signal that submit was given", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const socket = await front.raw();
  socket.send(sized('{"texts":"ab"}'));
  await front.submit.arrived(1);
  const { signal } = front.submit.seen[0] ?? assert.fail();
  assert.equal(signal.aborted, false);
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  socket.socket.end();
  await aborted;
});

test("a caller that leaves mid-body is not submitted", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  socket.send(post('{"texts":', "content-length: 100"));
  await (await fetch(`${front.url}/live`)).text();
  socket.socket.destroy();
  await socket.closed();
  await (await front.translate({ texts: "after" })).text();
  assert.equal(front.submit.seen.length, 1);
});

test("the signal does not abort when the reply was taken", async () => {
  await using front = await TestFront.start();
  await (await front.translate({ texts: "ab" })).text();
  assert.equal(front.submit.seen[0]?.signal.aborted, false);
});

test("connections over the limit are answered, closed, and leave the others alone", async () => {
  // They have idled for no time at all, and a busy one is never closed: see `http-hostile`.
  await using front = await TestFront.start({ connectionsMax: 2 }, { nowMs: () => 0 });
  const first = await front.raw();
  const second = await front.raw();
  first.send(getLive);
  await first.until(/"live":true/);
  second.send(getLive);
  await second.until(/"live":true/);
  const third = await front.raw();
  third.send(sized('{"texts":"ab"}'));
  const refused = await third.closed();
  assert.match(refused, /^HTTP\/1.1 503 [\s\S]*retry-after: 1[\s\S]*too_many_connections/i);
  first.socket.destroy();
  await first.closed();
  // The server has seen the first one leave when a new one is let in.
  let reply = "";
  while (!reply.includes('"models":')) {
    const next = await front.raw();
    next.send(getModels);
    reply = await next.until(/"models":|too_many/);
  }
  second.send(getLive);
  await second.until(/"live":true[\s\S]*"live":true/);
});

test("lines come as they are ready, with their index, and end with `done`", async () => {
  await using front = await TestFront.start();
  front.submit.orderOf = () => [2, 0, 1];
  const accept = { headers: { accept: "application/x-ndjson" } };
  const response = await front.translate({ texts: ["ab", "!", "ef"] }, accept);
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const lines = parseLines(await response.text());
  assert.deepEqual(
    lines.map((line) => ("index" in line ? line.index : "done")),
    [2, 0, 1, "done"],
  );
  assert.ok("done" in (lines.at(-1) ?? {}));
});

test("what is refused before the first line has its own status, also for lines", async () => {
  await using front = await TestFront.start();
  front.submit.refuseWith = new Error("a bug");
  const accept = { headers: { accept: "application/x-ndjson" } };
  const response = await front.translate({ texts: "ab" }, accept);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /a bug/, "the inside stays inside");
});

test("what fails after the first line ends the lines with an error", async () => {
  await using front = await TestFront.start();
  front.submit.failAfterFirst = new Error("a bug");
  const accept = { headers: { accept: "application/x-ndjson" } };
  const response = await front.translate({ texts: ["ab", "cd"] }, accept);
  const lines = parseLines(await response.text());
  assert.equal(lines.length, 2);
  const last = lines[1] ?? assert.fail();
  assert.ok("error" in last && last.error.code === "internal");
});

/** More than the kernel's buffers between two sockets of one machine take. */
const longCount = 1000;
const long = JSON.stringify({
  texts: Array.from({ length: longCount }, () => "x".repeat(20_000)),
});
const bodyBytesMax = 32 * 1024 * 1024;

test("lines wait while the caller does not read, and all come when it does", async () => {
  await using front = await TestFront.start({ bodyBytesMax });
  const socket = await front.raw();
  socket.socket.pause();
  socket.send(sized(long, "accept: application/x-ndjson", "connection: close"));
  await front.submit.arrived(1);
  // Whatever the sockets do not take waits in the front, which answers others meanwhile.
  assert.match(await (await fetch(`${front.url}/live`)).text(), /"live":true/);
  socket.socket.resume();
  const reply = await socket.closed();
  assert.match(reply.slice(-1000), /"done".*\n\r\n0\r\n\r\n$/);
  const indices = [...reply.matchAll(/"index":(\d+)/g)].map((match) => Number(match[1]));
  assert.deepEqual(indices, [...Array(longCount).keys()]);
});

for (const accept of ["application/x-ndjson", "application/json"]) {
  test(`a caller that takes nothing of its ${accept} is disconnected`, async () => {
    await using front = await TestFront.start({ replyTimeoutMs: 50, bodyBytesMax });
    const socket = await front.raw();
    socket.socket.pause();
    socket.send(sized(long, `accept: ${accept}`));
    await front.submit.arrived(1);
    const poll = await front.raw();
    while (front.front.held().connections > 1) {
      poll.send(getLive);
      await poll.until(/"live":true/);
      poll.received = "";
    }
  });
}

function parseLines(text: string): TranslateLine[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as TranslateLine);
}
