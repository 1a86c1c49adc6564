/**
 * READ FIRST. What arrives at this server, written down while somebody records it: sizes and times, never what requests hold. While nobody does,
 * whoever tells of a request asks one field and goes on.
 *
 *   submit, pool ─► recorder ── a line each ─► each reader's lines, bounded ─► GET /v1/record ─► millrace record ─► a file
 *                     └─ nobody reads: nothing                                                  recording-file.ts: of it, and from it
 */
import { createHmac, randomBytes } from "node:crypto";
import {
  MillraceError,
  type RecordedRefusal,
  type RecordedRequest,
  type RecordedRuns,
  type RecordHead,
  type RecordLine,
  recordFormat,
  recordVersion,
} from "millrace-client/wire";
import type { PreparedInput } from "../work/piece.js";
import { BusyTimes } from "./busy-times.js";
import { recordedItems } from "./recorded-items.js";

/** Each is sent every line. */
const readersMax = 4;
/** Of lines that wait for one reader; what is more is left out, and counted. */
const heldCharactersMax = 8 * 1024 * 1024;
/** Lines are sent together: a write for each would cost more than the lines. */
const flushEveryMs = 200;
const timeEveryMs = 1_000;
/** Of the hash that stands for a name: 72 bits, so that no two names of a recording meet by chance. */
const hashCharacters = 12;

export interface RecorderParts {
  /** The server as it is now. */
  readonly describe: () => Omit<RecordHead, "type" | "format" | "version" | "startedAtMs">;
  /** Requests that have not ended. */
  readonly openRequests: () => number;
  /** By `now`. Default: `performance.now`. */
  readonly now?: () => number;
}

export interface ArrivedRequest
  extends Pick<RecordedRequest, "model" | "task" | "class" | "isDeadlineNamed" | "bytes"> {
  readonly tenant: string;
  readonly arrivedAtMs: number;
  readonly queuedAtMs: number;
  readonly deadlineAtMs: number | null;
  readonly inputs: readonly PreparedInput[];
}

export interface OpenRecord {
  inputFailed(): void;
  /** Null: it was answered. */
  ended(code: MillraceError["code"] | null): void;
}

export type PipelineRuns = Pick<RecordedRuns, "pipelineId" | "model" | "stages"> & {
  /** The pipeline has something yet. */
  readonly isBusy: boolean;
};

export class Recorder implements Disposable {
  readonly #parts: RecorderParts;
  readonly #now: () => number;
  readonly #readers = new Set<Reader>();
  #busy = new BusyTimes();
  #key: Buffer = noKey;
  #requests = 0;
  #timer: NodeJS.Timeout | null = null;
  #toldAtMs = 0;
  #isEnded = false;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
  }

  /** Somebody records. */
  get isOn(): boolean {
    return this.#readers.size > 0;
  }

  /** A request was let in and prepared. Null: nobody records. */
  arrived(request: ArrivedRequest): OpenRecord | null {
    if (!this.isOn) return null;
    this.#requests += 1;
    const id = this.#requests;
    const { arrivedAtMs, queuedAtMs, deadlineAtMs, inputs, tenant, ...told } = request;
    this.#tell((sinceMs) => ({
      type: "request",
      id,
      atMs: rounded(arrivedAtMs - sinceMs),
      prepareMs: rounded(queuedAtMs - arrivedAtMs),
      ...told,
      tenant: this.#hashOf(tenant),
      deadlineMs: deadlineAtMs === null ? null : rounded(deadlineAtMs - arrivedAtMs),
      inputs: inputs.length,
      itemBytes: bytesOf(inputs),
      items: recordedItems(inputs, (key) => this.#hashOf(key)),
    }));
    let failedInputs = 0;
    return {
      inputFailed: () => {
        failedInputs += 1;
      },
      ended: (code) => {
        const nowMs = this.#now();
        this.#tell((sinceMs) => {
          return { type: "end", id, atMs: rounded(nowMs - sinceMs), code, failedInputs };
        });
      },
    };
  }

  /** A request was refused at the door or behind it, before anything of it was queued. */
  refused(refusal: Omit<RecordedRefusal, "type" | "atMs">): void {
    if (!this.isOn) return;
    const nowMs = this.#now();
    this.#tell((sinceMs) => ({ type: "refused", atMs: rounded(nowMs - sinceMs), ...refusal }));
  }

  /** Items were handed to a pipeline. */
  dispatched(pipelineId: string): void {
    if (this.isOn) this.#busy.dispatched(pipelineId, this.#now());
  }

  measured({ pipelineId, model, stages, isBusy }: PipelineRuns): void {
    if (!this.isOn) return;
    const nowMs = this.#now();
    const busyMs = rounded(this.#busy.measured(pipelineId, { nowMs, isBusy }));
    this.#tell((sinceMs) => {
      const atMs = rounded(nowMs - sinceMs);
      return { type: "runs", atMs, pipelineId, model, busyMs, stages };
    });
  }

  down(pipelineId: string): void {
    if (!this.isOn) return;
    this.#busy.forget(pipelineId);
    const nowMs = this.#now();
    this.#tell((sinceMs) => ({ type: "down", atMs: rounded(nowMs - sinceMs), pipelineId }));
  }

  /**
   * From the head on, for so long: text of whole lines, as they come. `[Symbol.dispose]` of what is returned must be called.
   * @throws MillraceError `queue_full`: as many record already; `draining`
   */
  read({ ms }: { readonly ms: number }): Reader {
    if (this.#isEnded) throw new MillraceError("draining", "the server is stopping");
    if (this.#readers.size >= readersMax) {
      const message = `${readersMax} record already: try again when one of them has ended`;
      throw new MillraceError("queue_full", message);
    }
    const nowMs = this.#now();
    if (!this.isOn) this.#begin(nowMs);
    const reader = new Reader({ sinceMs: nowMs, ms }, () => this.#left(reader));
    const head = { type: "head", format: recordFormat, version: recordVersion } as const;
    reader.add({ ...head, startedAtMs: Date.now(), ...this.#parts.describe() });
    reader.flush();
    this.#readers.add(reader);
    return reader;
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    const nowMs = this.#now();
    for (const reader of this.#readers) reader.close("stopping", nowMs);
    this.#stop();
  }

  #begin(nowMs: number): void {
    this.#key = randomBytes(32);
    this.#busy = new BusyTimes();
    this.#toldAtMs = nowMs;
    this.#timer = setInterval(() => this.#flush(), flushEveryMs).unref();
  }

  #left(reader: Reader): void {
    this.#readers.delete(reader);
    if (!this.isOn) this.#stop();
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#key = noKey;
  }

  #tell(lineAt: (sinceMs: number) => RecordLine): void {
    for (const reader of this.#readers) reader.add(lineAt(reader.sinceMs));
  }

  #flush(): void {
    const nowMs = this.#now();
    if (nowMs - this.#toldAtMs >= timeEveryMs) {
      this.#toldAtMs = nowMs;
      const openRequests = this.#parts.openRequests();
      this.#tell((sinceMs) => ({ type: "time", atMs: rounded(nowMs - sinceMs), openRequests }));
    }
    for (const reader of this.#readers) {
      if (nowMs - reader.sinceMs >= reader.ms) reader.close("time", nowMs);
      else reader.flush();
    }
  }

  /** The same name gives the same hash within a recording, and nobody finds the name by it. */
  #hashOf(name: string): string {
    const hash = createHmac("sha256", this.#key).update(name).digest("base64url");
    return hash.slice(0, hashCharacters);
  }
}

function bytesOf(inputs: readonly PreparedInput[]): number {
  let bytes = 0;
  for (const input of inputs)
    if (input.ok) for (const { cost } of input.pieces) bytes += cost.bytes;
  return bytes;
}

const noKey = Buffer.alloc(0);

/** Microseconds are fine enough, and take few characters. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

class Reader implements Disposable {
  /** By the recorder's clock. */
  readonly sinceMs: number;
  readonly ms: number;
  readonly #onLeft: () => void;
  #text = "";
  #leftOut = 0;
  #isReady = false;
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(
    { sinceMs, ms }: { readonly sinceMs: number; readonly ms: number },
    onLeft: () => void,
  ) {
    this.sinceMs = sinceMs;
    this.ms = ms;
    this.#onLeft = onLeft;
  }

  add(line: RecordLine): void {
    if (this.#isClosed) return;
    if (this.#text.length >= heldCharactersMax) {
      this.#leftOut += 1;
      return;
    }
    if (this.#leftOut > 0) {
      const atMs = "atMs" in line ? line.atMs : 0;
      this.#write({ type: "left-out", atMs, lines: this.#leftOut });
      this.#leftOut = 0;
    }
    this.#write(line);
  }

  /** What is there may be taken. */
  flush(): void {
    if (this.#text === "") return;
    this.#isReady = true;
    this.#wake();
  }

  /** The last line; none follows. */
  close(why: "time" | "stopping", nowMs: number): void {
    if (this.#isClosed) return;
    const atMs = rounded(nowMs - this.sinceMs);
    if (this.#leftOut > 0) this.#write({ type: "left-out", atMs, lines: this.#leftOut });
    this.#write({ type: "closed", atMs, why });
    this.#isClosed = true;
    this.flush();
  }

  /** Nobody reads any more: whoever waits in `next` gets null. */
  abandon(): void {
    this.#isClosed = true;
    this.#text = "";
    this.#wake();
  }

  /** Whole lines; null behind the last. One caller at a time. */
  async next(): Promise<string | null> {
    while (!this.#isReady && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const text = this.#text;
    this.#text = "";
    this.#isReady = false;
    return text === "" ? null : text;
  }

  [Symbol.dispose](): void {
    this.abandon();
    this.#onLeft();
  }

  #write(line: RecordLine): void {
    this.#text += `${JSON.stringify(line)}\n`;
  }
}
