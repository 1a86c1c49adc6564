/**
 * The file of a recording: its lines, compressed by gzip and flushed each second, so that what was written before a crash can be read. Bounded
 * by bytes where it is written, and by what it becomes where it is read.
 */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { constants, createGunzip, createGzip, type Gzip } from "node:zlib";
import {
  MillraceError,
  type RecordHead,
  type RecordLine,
  recordVersion,
} from "millrace-client/wire";
import { readProblem } from "../work/file-problem.js";
import { hasCode, messageOf } from "../work/thrown.js";
import { readRecordLine } from "./line-schema.js";

/** What a file may become in memory as text: a bomb of a few KB would else be gigabytes. */
const textBytesMax = 512 * 1024 * 1024;
/** A request with the most costs that are told apart is a tenth of it. */
const lineCharactersMax = 1024 * 1024;
const usualLimits: RecordingLimits = { linesMax: 1_000_000, partsMax: 4_000_000 };
/** Each is looked for in all runs. */
const stageNamesMax = 256;
const flushEveryMs = 1_000;

export class RecordingWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #gzip: Gzip;
  readonly #written: Promise<void>;
  #bytes = 0;
  #error: unknown = null;
  #flushedAtMs = performance.now();
  #isClosed = false;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
    this.#gzip = createGzip();
    this.#written = this.#writeAll();
  }

  /** What is there already stays as it is. @throws MillraceError `output_exists`, `output_failed` */
  static async create(path: string): Promise<RecordingWriter> {
    try {
      return new RecordingWriter(path, await open(path, "wx"));
    } catch (error) {
      const code = hasCode(error, "EEXIST") ? "output_exists" : "output_failed";
      throw new MillraceError(code, `${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** On the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when there is room for more. @throws MillraceError `output_failed` */
  async write(line: RecordLine): Promise<void> {
    this.#check();
    const hasRoom = this.#gzip.write(`${JSON.stringify(line)}\n`);
    const nowMs = performance.now();
    if (nowMs - this.#flushedAtMs >= flushEveryMs) {
      this.#flushedAtMs = nowMs;
      await new Promise<void>((resolve) => {
        this.#gzip.flush(constants.Z_SYNC_FLUSH, resolve);
      });
    } else if (!hasRoom) {
      await new Promise<void>((resolve) => {
        this.#gzip.once("drain", resolve);
      });
    }
  }

  /** A second call does nothing. @throws MillraceError `output_failed` */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#gzip.end();
    await this.#written;
    await this.#file.close();
    this.#check();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Never rejects; what failed is told by the next write. */
  async #writeAll(): Promise<void> {
    for await (const chunk of this.#gzip as AsyncIterable<Buffer>) {
      if (this.#error !== null) continue;
      try {
        await this.#file.writeFile(chunk);
        this.#bytes += chunk.length;
      } catch (error) {
        this.#error = error;
      }
    }
  }

  #check(): void {
    if (this.#error === null) return;
    const message = `${this.#path}: ${messageOf(this.#error)}`;
    throw new MillraceError("output_failed", message, { cause: this.#error });
  }
}

export interface Recording {
  readonly head: RecordHead;
  /** In the order in which they were told; without the head. */
  readonly lines: readonly RecordLine[];
  /** The file ends before the recording did: it was not closed, or its end is gone. */
  readonly isCut: boolean;
}

export interface RecordingLimits {
  /** Of requests, of their ends, and of all other lines: a request is some 2 KB in memory while it is planned with. */
  readonly linesMax: number;
  /** Costs of requests and sizes of runs, in all: some 80 bytes in memory for ten characters. */
  readonly partsMax: number;
}

/**
 * @throws MillraceError `option_invalid`: there is no such file, it is no recording that this version reads, or holds more than is read
 */
export async function readRecording(
  path: string,
  limits: RecordingLimits = usualLimits,
): Promise<Recording> {
  const lines: RecordLine[] = [];
  let head: RecordHead | null = null;
  const fail = (why: string): MillraceError =>
    new MillraceError("option_invalid", `${path}: ${why}`);
  try {
    const amounts = new Amounts(limits);
    let at = 0;
    for await (const text of textLines(path)) {
      at += 1;
      const line = parsedLine(text, at, fail);
      if (head === null) {
        head = headOf(line, fail);
        continue;
      }
      const problem = amounts.add(line);
      if (problem !== null) throw fail(problem);
      lines.push(line);
    }
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    throw fail(
      hasCode(error, "Z_DATA_ERROR")
        ? "damaged, or no recording, which is compressed by gzip"
        : readProblem(error),
    );
  }
  if (head === null) throw fail("holds nothing of a recording");
  return { head, lines, isCut: lines.at(-1)?.type !== "closed" };
}

/** What was read so far, each kind bounded by itself. */
class Amounts {
  readonly #limits: RecordingLimits;
  readonly #lines = new Map<string, number>();
  readonly #stages = new Set<string>();
  #parts = 0;

  constructor(limits: RecordingLimits) {
    this.#limits = limits;
  }

  /** Why no more of it is read; else null. */
  add(line: RecordLine): string | null {
    const { linesMax, partsMax } = this.#limits;
    const kind = kindOf(line);
    const count = (this.#lines.get(kind) ?? 0) + 1;
    this.#lines.set(kind, count);
    if (count > linesMax) return moreThan(linesMax, kind);
    if (line.type === "request") this.#parts += line.items.length;
    if (line.type === "runs")
      for (const { stage, sizes } of line.stages) {
        this.#stages.add(stage);
        this.#parts += 1 + sizes.length;
      }
    if (this.#stages.size > stageNamesMax) return `names more than ${stageNamesMax} stages`;
    return this.#parts > partsMax ? moreThan(partsMax, "costs of requests and runs") : null;
  }
}

function moreThan(most: number, what: string): string {
  return `holds more than ${most} ${what}: record for a shorter time`;
}

function kindOf({ type }: RecordLine): string {
  // One that was refused is replayed as a request, too.
  if (type === "request" || type === "refused") return "requests";
  return type === "end" ? "ends of requests" : "lines between requests";
}

type Fail = (why: string) => MillraceError;

function headOf(line: RecordLine, fail: Fail): RecordHead {
  if (line.type !== "head") throw fail("does not begin as a recording does");
  return line;
}

function parsedLine(text: string, at: number, fail: Fail): RecordLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fail(`damaged: line ${at} is no JSON`);
  }
  // Before the shapes, which a later version may have changed.
  const version = at === 1 ? versionOf(value) : null;
  if (version !== null && version > recordVersion) {
    throw fail(
      `written as version ${version}; this millrace reads ${recordVersion}: use the one that wrote it, or a newer one`,
    );
  }
  const read = readRecordLine(value);
  if ("problem" in read) throw fail(`damaged: line ${at}: ${read.problem}`);
  return read.line;
}

function versionOf(value: unknown): number | null {
  if (typeof value !== "object" || value === null || !("version" in value)) return null;
  return typeof value.version === "number" ? value.version : null;
}

/** Whole lines only: the last one of a file that was cut is left out. */
async function* textLines(path: string): AsyncGenerator<string> {
  const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
  const file = createReadStream(path);
  file.on("error", (error) => gunzip.destroy(error));
  file.pipe(gunzip);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  let bytes = 0;
  for await (const chunk of gunzip as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > textBytesMax) throw new Error(`it is more than ${textBytesMax} bytes`);
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lineCharactersMax) throw new Error("a line has no end");
    yield* lines;
  }
}
