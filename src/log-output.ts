/**
 * Standard output as a log may use it: no write ever waits for the reader, and none ends the process.
 *
 *   line ──► room for it? ──yes──► stream: at most `bytesMax` wait ──► reader
 *                │ no
 *                ▼
 *             dropped and counted, and so is each that follows, until half of the backlog has been read
 *
 * A reader that is gone has everything dropped: there is nobody to tell.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { Writable } from "node:stream";
import { platform } from "./platform/platform.js";

export interface LogDestination {
  /** Whether lines for people are coloured. */
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface LogOutputOptions {
  readonly stream: Writable & { readonly isTTY?: boolean };
  readonly bytesMax: number;
}

export class LogOutput implements LogDestination {
  readonly isTTY: boolean;
  /** Called when a gap is over, with the number of lines that it swallowed. */
  onResumed: (lines: number) => void = () => {};
  /** Called for each line that is dropped. */
  onDropped: () => void = () => {};
  readonly #stream: Writable;
  readonly #bytesMax: number;
  #gapLines = 0;
  #gone = false;
  #onFlushed: () => void = () => {};

  constructor({ stream, bytesMax }: LogOutputOptions) {
    this.#stream = stream;
    this.#bytesMax = bytesMax;
    this.isTTY = stream.isTTY === true;
    // They come to each write as well, where they are dealt with. Once a stream: servers come and go in one process.
    if (!stream.listeners("error").includes(ignore)) stream.on("error", ignore);
  }

  write(text: string): void {
    const bytes = Buffer.from(text);
    this.#resume();
    const isFull = this.#stream.writableLength + bytes.length > this.#bytesMax;
    if (this.#gone || this.#gapLines > 0 || isFull) {
      this.#gapLines += 1;
      this.onDropped();
      return;
    }
    this.#stream.write(bytes, (error) => this.#written(error));
  }

  /** Resolves when nothing waits, when the reader is gone, or when the time is over. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#gone || this.#stream.writableLength === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onFlushed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #written(error: Error | null | undefined): void {
    if (error !== null && error !== undefined) this.#gone = true;
    this.#resume();
    if (this.#gone || this.#stream.writableLength === 0) this.#onFlushed();
  }

  #resume(): void {
    if (this.#gone || this.#gapLines === 0) return;
    if (this.#stream.writableLength > this.#bytesMax / 2) return;
    const lines = this.#gapLines;
    this.#gapLines = 0;
    this.onResumed(lines);
  }
}

function ignore(): void {}

/** One for the process, as its standard output is: a second one would only cost another file. */
let terminal: NonBlockingFile | null = null;

/**
 * Node writes to pipes and sockets without waiting, and to files at once. For a terminal it waits, and one that was
 * stopped with Ctrl-S, or that nobody reads at its other side, would stop the server: so it is opened once more.
 */
export function standardOutput(bytesMax: number): LogOutput {
  if (process.stdout.isTTY) terminal ??= openTerminal();
  return new LogOutput({ stream: terminal ?? process.stdout, bytesMax });
}

/** Null where it cannot be opened again: the system has no name for it, or it is another user's, as after `su`. */
function openTerminal(): NonBlockingFile | null {
  const path = platform.terminalPath;
  if (path === null) return null;
  try {
    return new NonBlockingFile(path, { isTTY: true });
  } catch {
    return null;
  }
}

const fullFileRetryMs = 20;

/** A terminal or a pipe, opened for ourselves, so that no write waits; what does not fit is tried again. */
export class NonBlockingFile extends Writable {
  readonly isTTY: boolean;
  readonly #fd: number;

  constructor(path: string, { isTTY }: { readonly isTTY: boolean }) {
    super();
    this.isTTY = isTTY;
    this.#fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error) => void): void {
    let written: number;
    try {
      written = writeSync(this.#fd, chunk);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) {
        done(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      written = 0;
    }
    if (written === chunk.length) {
      done();
      return;
    }
    const rest = chunk.subarray(written);
    // A reader who never comes must not keep the process.
    setTimeout(() => this._write(rest, encoding, done), fullFileRetryMs).unref();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    closeSync(this.#fd);
    done(error);
  }
}
