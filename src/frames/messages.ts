/**
 * READ FIRST. What parent and child say to each other over the socket pair. A frame is JSON with a binary tail for
 * tensors; encode.ts makes bytes of it, codec.ts and shapes.ts make it of bytes again and check all that they read.
 *
 *   parent                                 child
 *     │ ◄──────────── hello ─────────────────│   as soon as the process runs: it is warm, and has no model yet
 *     │ ───────────── load ─────────────────►│   which model, how many threads and rows
 *     │ ◄─────────── loading ────────────────│   before it begins: nothing else is begun until it has ended
 *     │ ◄───── loaded │ load-failed ─────────│   after the warm-up item was answered; the process lives on
 *     │ ───────────── batch ────────────────►│   items join the queue of their model's engine
 *     │ ◄───────────── run ──────────────────│   before each run: what it works on, predicted cost
 *     │ ◄──────────── items ─────────────────│   outcomes as rows end
 *     │ ──────────── unload ────────────────►│   a model that has no items there
 *     │ ◄────────── unloaded ────────────────│
 *     │ ───────────── cancel ───────────────►│   items that nobody waits for any more
 *     │ ───────────── recall ───────────────►│   give back the items that have not begun
 *     │ ◄─────────── recalled ───────────────│
 *     │ ──────────── profile ───────────────►│   begin to watch the thread, and the runtime's runs; then, once, end it
 *     │ ◄─────────── profiled ───────────────│   what was seen, or why nothing was
 *     │ ───────────── stop ─────────────────►│   finish nothing, exit 0
 *
 * Items have unique ids, so that `cancel`, `recall` and outcomes name no model. The child takes frames in order, and
 * loads and unloads one after the other: what an unload frees is there for the load behind it. It answers each `recall` with one `recalled`, also with an empty one: the parent
 * sends a `recall` after a `cancel`, and takes the answer as the proof that no outcome of these items can come. A
 * run in which an item begins is always announced, because only announced items can be suspected.
 */
import type { ErrorCode, SampledProfile, StageTime, WorkClass } from "millrace-client/wire";
import type { Payload } from "../work/payload.js";

export const framesVersion: number = 5;

/**
 * Largest header and tail that either side accepts; a longer length is a protocol error, checked before memory is taken.
 * A tail is moved, and its bytes are bounded by memory only. A header is parsed, and nothing else happens in a process
 * meanwhile: a megabyte of the worst JSON takes some 50 ms. It is room for 10,000 items of a translation.
 */
export const headerBytesMax: number = 1024 * 1024;
export const tailBytesMax: number = 64 * 1024 * 1024;

/** Brackets that may be open at once in a header; the frame itself opens four, the rest is for values. */
export const headerDepthMax: number = 64;

/** Most that a frame says about a failure; what is longer is cut. */
export const messageCharactersMax: number = 1_000;

/** The name of a model's folder and a little more. */
export const modelCharactersMax = 512;

/** Stages of a model, each with a name that becomes a label of metrics, which are kept: a child may name no more. */
export const stagesMax = 64;

/** Sizes of runs that are told apart; larger ones are counted as the largest. */
export const runSizesMax = 1_024;

export interface FrameItem {
  /** Unique in the parent's life. */
  readonly itemId: number;
  readonly payload: Payload;
}

/** What goes into a pipeline at once. A long one travels as several frames of the same number. */
export interface FrameBatch {
  readonly batchId: number;
  /** Whose items they are; it is loaded there. */
  readonly model: string;
  /** As what it runs: realtime that gives way runs as bulk, see scheduler/rank.ts. */
  readonly class: WorkClass;
  readonly items: readonly FrameItem[];
}

export type FrameOutcome =
  | {
      readonly itemId: number;
      readonly ok: true;
      readonly value: Payload;
    }
  | {
      readonly itemId: number;
      readonly ok: false;
      readonly code: ErrorCode;
      readonly message: string;
    };

/** What the runtime does in its runs is watched where it is asked for. */
export type ProfileStep = "start" | "start-with-operators" | "stop";

export type ParentFrame =
  | {
      readonly type: "load";
      /** What the parent calls it in every frame. */
      readonly model: string;
      readonly modelDir: string;
      /** As models/folder-version.ts has them: another version is not loaded under this name. Empty: whatever is there. */
      readonly version: string;
      readonly seen: string;
      readonly threads: number;
      /** Rows that may run at once. */
      readonly rowsMax: number;
    }
  | { readonly type: "unload"; readonly model: string }
  | ({ readonly type: "batch" } & FrameBatch)
  | { readonly type: "cancel"; readonly itemIds: readonly number[] }
  | { readonly type: "recall"; readonly itemIds: readonly number[] }
  | { readonly type: "profile"; readonly step: ProfileStep }
  | { readonly type: "stop" };

export type ChildFrame =
  | { readonly type: "hello"; readonly version: number; readonly pid: number }
  | {
      /** Nothing is begun in the process until `loaded` or `load-failed`; if it ends before, that is taken for the model's doing. */
      readonly type: "loading";
      readonly model: string;
    }
  | {
      readonly type: "loaded";
      readonly model: string;
      /** Times that this process loaded this model. */
      readonly loads: number;
      /**
       * By which what is the process's own grew meanwhile: too little where it used memory again that was freed before, too
       * much where it made what all its models use.
       */
      readonly modelBytes: number;
      /** Of the whole process. */
      readonly memoryBytes: number;
      readonly ms: number;
    }
  | {
      readonly type: "load-failed";
      readonly model: string;
      readonly code: ErrorCode;
      readonly message: string;
    }
  | { readonly type: "unloaded"; readonly model: string; readonly memoryBytes: number }
  | {
      /**
       * Sent before a run that blocks the child. Short runs are announced together (announcer.ts): the frame
       * then covers all runs until the next frame.
       */
      readonly type: "run";
      readonly model: string;
      readonly stage: string;
      readonly rows: number;
      /** Padded width in units. */
      readonly width: number;
      readonly predictedMs: number;
      /** Items that are in any of its engines now, begun and not ended: the suspects if the process dies. */
      readonly begunItemIds: readonly number[];
      readonly memoryBytes: number;
    }
  | { readonly type: "items"; readonly outcomes: readonly FrameOutcome[] }
  | { readonly type: "recalled"; readonly itemIds: readonly number[] }
  | {
      /** This or the next for each `profile` that ends. */
      readonly type: "profiled";
      readonly profile: SampledProfile;
    }
  | { readonly type: "profile-failed"; readonly message: string }
  | {
      /** What the engine measured since the last report; about once a second while it works, and when it idles. */
      readonly type: "report";
      readonly model: string;
      readonly stages: readonly StageReport[];
      /** Bytes that the engine holds for the items in it: keys and values of generating rows. */
      readonly cacheBytes: number;
    };

/** Sums since the last report. Where the time goes inside a pipeline. */
export interface StageReport extends Omit<StageTime, "model"> {
  /** The same runs by their rows, each size once. */
  readonly sizes: readonly RunsOfSize[];
}

export interface RunsOfSize {
  readonly rows: number;
  readonly runs: number;
  readonly ms: number;
}
