/** The client's reader of server-sent events, against what comes in many small pieces. */
import assert from "node:assert/strict";
import { test } from "node:test";

interface EventReader {
  push(bytes: Uint8Array): readonly { readonly type: string; readonly data: string }[];
}

const url = new URL("server-events.js", import.meta.resolve("millrace-client"));
const { ServerEventParser } = (await import(url.href)) as {
  readonly ServerEventParser: new (eventCharactersMax?: number) => EventReader;
};

// Of a server of 256 pipelines the page's first event has 20 MB; joined anew with each piece it took three quarters of a minute.
test("attack: a long event costs no more time than its length", { timeout: 30_000 }, () => {
  const parser = new ServerEventParser(64 * 1024 * 1024);
  parser.push(Buffer.from("event: history\r\ndata: "));
  const piece = Buffer.alloc(4_096, "x");
  const pieces = 5_000;
  for (let at = 0; at < pieces; at += 1) assert.deepEqual(parser.push(piece), []);
  assert.deepEqual(parser.push(Buffer.from("\r")), []);
  const [event, ...others] = parser.push(Buffer.from("\n\r\ndata: next\n\n"));
  assert.equal(event?.type, "history");
  assert.equal(event.data.length, pieces * piece.length);
  assert.deepEqual(others, [{ type: "message", data: "next" }]);
});

test("attack: an event without an end is bounded, whatever it is cut into", () => {
  for (const [first, more] of [
    ["data: ", "xxxxxxxx"],
    ["", "data: x\n"],
    ["", "data: x\r\n"],
  ] as const) {
    const parser = new ServerEventParser(1_024);
    parser.push(Buffer.from(first));
    assert.throws(() => {
      for (let at = 0; at < 1_024; at += 1) parser.push(Buffer.from(more));
    }, /has no end/);
  }
});
