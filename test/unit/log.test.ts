import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { test } from "node:test";
import { createLog } from "#src/log.js";
import { LogOutput, NonBlockingFile } from "#src/log-output.js";

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

/** A reader that takes a line when it is told to. */
class SlowReader extends Writable {
  readonly taken: string[] = [];
  #done: ((error?: Error) => void) | null = null;
  #text = "";

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#text = chunk.toString();
    this.#done = done;
  }

  take(error?: Error): void {
    if (error === undefined) this.taken.push(this.#text);
    const done = this.#done;
    this.#done = null;
    done?.(error);
  }

  async takeAll(): Promise<void> {
    while (this.#done !== null) {
      this.take();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test("defect 22: what waits for a slow reader is bounded; what is over is dropped, counted and told", async () => {
  const reader = new SlowReader();
  const output = new LogOutput({ stream: reader, bytesMax: 2_000 });
  let dropped = 0;
  output.onDropped = () => {
    dropped += 1;
  };
  const log = createLog({ log: "json", logLevel: "info", destination: output });
  for (let line = 0; line < 1_000; line++) log.info({ line }, "flood");
  assert.ok(reader.writableLength <= 2_000, String(reader.writableLength));
  assert.ok(dropped > 900, String(dropped));
  await reader.takeAll();
  log.info("after");
  await reader.takeAll();
  const records = reader.taken.map((line) => JSON.parse(line) as Record<string, unknown>);
  const gap = records.findIndex(({ lines }) => lines === dropped);
  assert.equal(gap, 1_000 - dropped, "the gap is told where it is");
  assert.equal(records[gap]?.["level"], 40);
  assert.deepEqual(
    records.slice(0, gap).map(({ line }) => line),
    Array.from({ length: gap }, (_, line) => line),
  );
  assert.equal(records.at(-1)?.["msg"], "after");
  assert.equal(records.length, gap + 2);
});

test("defect 22: a line that can never fit is dropped, and the next one is written", async () => {
  const reader = new SlowReader();
  const output = new LogOutput({ stream: reader, bytesMax: 100 });
  output.onResumed = (lines) => output.write(`gap ${lines}\n`);
  output.write("x".repeat(101));
  output.write("next\n");
  await reader.takeAll();
  assert.deepEqual(reader.taken, ["gap 1\n", "next\n"]);
});

test("defect 22: a reader that is gone ends the log and nothing else", async () => {
  const reader = new SlowReader();
  const output = new LogOutput({ stream: reader, bytesMax: 1_000 });
  let dropped = 0;
  output.onDropped = () => {
    dropped += 1;
  };
  output.write("a\n");
  const flushed = output.flush(60_000);
  reader.take(Object.assign(new Error("broken pipe"), { code: "EPIPE" }));
  await flushed;
  output.write("b\n");
  output.write("c\n");
  assert.equal(dropped, 2);
  await output.flush(60_000);
});

test("defect 22: a flush waits for a slow reader, and not for ever", async () => {
  const reader = new SlowReader();
  const output = new LogOutput({ stream: reader, bytesMax: 1_000 });
  await output.flush(60_000);
  output.write("a\n");
  await output.flush(1);
  const flushed = output.flush(60_000);
  reader.take();
  await flushed;
});

test("defect 22: many outputs on one stream leave one listener on it", () => {
  const stream = new SlowReader();
  for (let count = 0; count < 20; count++) new LogOutput({ stream, bytesMax: 1 });
  assert.equal(stream.listenerCount("error"), 1);
});

test("defect 22: a terminal or pipe that is full is written to when there is room again", async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-log-"));
  context.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "fifo");
  assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const file = new NonBlockingFile(path, { isTTY: true });
  const sent = Buffer.alloc(300_000, "abcdefghij");
  // More than a pipe holds: a blocking write would never return, for the one who reads is we ourselves.
  const written = new Promise((resolve) => file.write(sent, resolve));
  const received: Buffer[] = [];
  let bytes = 0;
  while (bytes < sent.length) {
    const chunk = Buffer.alloc(65_536);
    try {
      const size = readSync(reader, chunk);
      received.push(chunk.subarray(0, size));
      bytes += size;
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EAGAIN");
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  assert.ok(!((await written) instanceof Error));
  assert.ok(Buffer.concat(received).equals(sent));
  closeSync(reader);
  const broken = once(file, "error");
  file.write("nobody");
  assert.equal(((await broken)[0] as NodeJS.ErrnoException).code, "EPIPE");
});
