import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog } from "#src/log.js";

function capture(
  log: "pretty" | "json",
  isTTY = false,
): {
  readonly lines: string[];
  write(text: string): void;
  readonly isTTY: boolean;
  readonly log: "pretty" | "json";
} {
  const lines: string[] = [];
  return { lines, isTTY, log, write: (text) => void lines.push(text) };
}

test("pretty lines are short, for people, and cannot be faked by what callers send", () => {
  const out = capture("pretty");
  const log = createLog({ log: "pretty", logLevel: "info", destination: out });
  log.debug("unseen");
  log.info({ http: "http://127.0.0.1:1", id: "a\n00:00:00.000 info  fake" }, "ready");
  log.error({ err: new Error("bad") }, "failed");
  assert.equal(out.lines.length, 2);
  assert.match(
    out.lines[0] ?? "",
    /^\d\d:\d\d:\d\d\.\d{3} info {2}ready {2}http=http:\/\/127.0.0.1:1 {2}id="a\\n00:00:00.000 info {2}fake"\n$/,
  );
  assert.match(out.lines[1] ?? "", /error failed\n {2}Error: bad\n {6}at /);
});

test("colour only on a terminal", () => {
  for (const isTTY of [true, false]) {
    const out = capture("pretty", isTTY);
    createLog({ log: "pretty", logLevel: "info", destination: out }).info("x");
    const expected = isTTY && process.env["NO_COLOR"] === undefined;
    assert.equal((out.lines[0] ?? "").includes("\u001b["), expected);
  }
});

test("JSON lines are pino's", () => {
  const out = capture("json");
  createLog({ log: "json", logLevel: "info", destination: out }).info({ http: "x" }, "ready");
  const record = JSON.parse(out.lines[0] ?? "") as Record<string, unknown>;
  assert.deepEqual([record["msg"], record["http"]], ["ready", "x"]);
});
