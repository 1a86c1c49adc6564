/**
 * A child's stdout or stderr, as lines of the server's log. A child may print without end, and neither the log nor the
 * parent's time is its to fill: in each second `linesMax` lines are logged and the rest is counted, and from `bytesMax`
 * on nothing more is read until the second is over, which holds up the child and nobody else.
 */
import type { Readable } from "node:stream";
import type { Clock } from "../work/clock.js";

/** The part of a logger that workers use; pino's fits. */
export interface WorkerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface LogLinesOptions {
  readonly log: WorkerLog;
  readonly clock: Clock;
  readonly pipelineId: string;
  readonly stream: "stdout" | "stderr";
}

const windowMs = 1_000;
export const linesMax = 100;
const bytesMax = 8 * 1024 * 1024;
const lineCharactersMax = 8_192;

export class LogLines {
  readonly #options: LogLinesOptions;
  readonly #input: Readable;
  /** The line that has no end yet. */
  #rest = "";
  #lines = 0;
  #bytes = 0;
  #dropped = 0;
  /** Takes back the end of the second that is counted; null while nothing was printed. */
  #endWindow: (() => void) | null = null;

  constructor(options: LogLinesOptions, input: Readable) {
    this.#options = options;
    this.#input = input;
    input.setEncoding("utf8");
    input.on("error", () => {});
    input.on("data", (text: string) => this.#read(text));
    input.on("close", () => this.#end());
  }

  #read(text: string): void {
    this.#endWindow ??= this.#options.clock.after(windowMs, () => this.#nextWindow(), "background");
    this.#bytes += text.length;
    const lines = (this.#rest + text).split("\n");
    // A child that never ends its line takes no memory: what is over the bound is cut off.
    this.#rest = (lines.pop() ?? "").slice(0, lineCharactersMax);
    for (const line of lines) this.#print(line);
    if (this.#bytes > bytesMax) this.#input.pause();
  }

  #print(line: string): void {
    if (line === "") return;
    this.#lines += 1;
    if (this.#lines > linesMax) {
      this.#dropped += 1;
      return;
    }
    const { log, pipelineId, stream } = this.#options;
    log.info({ pipelineId, stream }, line.slice(0, lineCharactersMax));
  }

  #nextWindow(): void {
    this.#endWindow = null;
    this.#sayDropped();
    this.#lines = 0;
    this.#bytes = 0;
    this.#input.resume();
  }

  #end(): void {
    this.#endWindow?.();
    this.#endWindow = null;
    this.#print(this.#rest);
    this.#rest = "";
    this.#sayDropped();
  }

  #sayDropped(): void {
    if (this.#dropped === 0) return;
    const { log, pipelineId, stream } = this.#options;
    log.warn({ pipelineId, stream, dropped: this.#dropped }, "printed too many lines to log them");
    this.#dropped = 0;
  }
}
