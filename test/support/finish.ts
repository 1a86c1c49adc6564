/** A process from where it has been started to its end: what it said, and how it ended. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

export interface Finished {
  readonly out: string;
  readonly err: string;
  readonly code: unknown;
  readonly signal: unknown;
}

/** `input` is all that it gets, where its input is a pipe. */
export async function finish(child: ChildProcess, input = ""): Promise<Finished> {
  const { stdin, stdout, stderr } = child;
  assert.ok(stdout !== null && stderr !== null);
  // Who was killed reads no input. Said nowhere, it would fail whichever test runs by then.
  stdin?.on("error", (error: NodeJS.ErrnoException) => assert.equal(error.code, "EPIPE"));
  stdin?.end(input);
  const [out, err, [code, signal]] = await Promise.all([
    text(stdout),
    text(stderr),
    once(child, "close"),
  ]);
  return { out, err, code: code as unknown, signal: signal as unknown };
}
