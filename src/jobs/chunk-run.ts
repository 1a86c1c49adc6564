/**
 * One chunk, run until each of its lines has a result, or until somebody else shall go on with it.
 *
 *   lines ─► calls, all at once ─► result │ error as result │ once more: later, or in halves
 */
import type { ErrorCode, MillraceError, WireError } from "millrace-client/wire";
import type { Caller } from "../work/caller.js";
import { type Clock, systemClock } from "../work/clock.js";
import type { CallRoute, RouteReply } from "./jobs.js";
import {
  type ChunkLines,
  callsOf,
  failure,
  type LineCall,
  type LineOutcome,
} from "./line-calls.js";

export type ChunkEnd =
  | { readonly kind: "whole"; readonly outcomes: readonly LineOutcome[] }
  /** The signal came: what has a result by then. */
  | { readonly kind: "left"; readonly outcomes: readonly LineOutcome[] }
  /** The server cannot run it just now; what has a result is run again with the rest. */
  | { readonly kind: "later"; readonly afterMs: number }
  /** Nothing of the job can be run any more. */
  | { readonly kind: "refused"; readonly error: WireError };

export interface ChunkRunOptions {
  readonly caller: Caller;
  readonly callRoute: CallRoute;
  readonly timeoutMs: number;
  readonly clock?: Clock;
}

/** The server cannot just now, and says nothing of the line: as often as it takes. */
const waitingCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "queue_full",
  "deadline_too_soon",
  "not_ready",
  "draining",
  "body_timeout",
  "job_store_failed",
  "cancelled",
]);

/** Perhaps the line's own fault: tried again so often, then it is its result. */
const triesMax = 4;
const doubtfulCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "deadline_exceeded",
  "worker_lost",
  "internal",
  "model_not_found",
]);

/** Some twenty seconds. */
const absencesMax = 8;

/** Some half a minute in which no line got a result: others have the room meanwhile. */
const idleRoundsMax = 8;

const backoffMinMs = 100;
const backoffMaxMs = 10_000;

export class ChunkRun {
  readonly #chunk: ChunkLines;
  readonly #options: ChunkRunOptions;
  readonly #outcomes = new Map<number, LineOutcome>();
  readonly #tries = new Map<number, number>();
  #textsMax = Number.POSITIVE_INFINITY;
  #refused: WireError | null = null;
  #retryAfterMs = 0;
  #absences = 0;
  /** The server stops: it would be waited for in vain. */
  #isInVain = false;
  #idleRounds = 0;
  /** Results, and tries that may come to be one. */
  #steps = 0;

  constructor(chunk: ChunkLines, options: ChunkRunOptions) {
    this.#chunk = chunk;
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<ChunkEnd> {
    for (let round = 0; ; round += 1) {
      const places = this.#pending();
      if (places.length === 0) return { kind: "whole", outcomes: this.#inOrder() };
      if (signal.aborted) return { kind: "left", outcomes: this.#inOrder() };
      this.#retryAfterMs = 0;
      const before = this.#steps;
      const wasHalved = await this.#ask(places, signal);
      if (this.#refused !== null) return { kind: "refused", error: this.#refused };
      if (wasHalved || signal.aborted || this.#pending().length === 0) continue;
      const backoffMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** round);
      const afterMs = Math.min(backoffMaxMs, Math.max(backoffMs, this.#retryAfterMs));
      const hasNothing =
        this.#outcomes.size === 0 && this.#tries.size === 0 && this.#absences === 0;
      this.#idleRounds = this.#steps > before ? 0 : this.#idleRounds + 1;
      const isIdle = this.#idleRounds >= idleRoundsMax;
      if (hasNothing || this.#isInVain || isIdle) return { kind: "later", afterMs };
      await this.#wait(afterMs, signal);
    }
  }

  #pending(): number[] {
    return [...this.#chunk.texts.keys()].filter((place) => !this.#outcomes.has(place));
  }

  #inOrder(): LineOutcome[] {
    return [...this.#outcomes.values()].sort((left, right) => left.place - right.place);
  }

  /** True: some is asked again at once, in smaller parts. */
  async #ask(places: readonly number[], signal: AbortSignal): Promise<boolean> {
    const { timeoutMs } = this.#options;
    const textsMax = this.#textsMax;
    const { calls, outcomes } = callsOf(this.#chunk, { places, textsMax, timeoutMs });
    for (const outcome of outcomes) this.#outcomes.set(outcome.place, outcome);
    await Promise.all(calls.map((call) => this.#call(call, signal)));
    return this.#textsMax < textsMax;
  }

  async #call(call: LineCall, signal: AbortSignal): Promise<void> {
    const { caller, callRoute } = this.#options;
    const reply = await callRoute({ ...call.route, caller }, signal);
    const { error } = reply;
    if (error === undefined) {
      // What a reply lacks that broke off is asked for again.
      for (const outcome of call.read(reply)) this.#had(outcome);
      return;
    }
    this.#isInVain ||= error.code === "draining";
    this.#retryAfterMs = Math.max(this.#retryAfterMs, error.retryAfterMs ?? 0);
    if (isOfWholeJob(error, this.#chunk) || this.#isForGood(error, call)) {
      this.#refused = error.toWire();
    } else if (call.places.length > 1 && !isTemporary(error.code)) {
      this.#textsMax = Math.min(this.#textsMax, Math.ceil(call.places.length / 2));
    } else for (const place of call.places) this.#had(this.#failed(place, call, reply));
  }

  /** The model of a job's texts was not there for so long that it is no reload. */
  #isForGood({ code }: MillraceError, { route }: LineCall): boolean {
    if (code !== "model_not_found" || route.accept !== "application/x-ndjson") return false;
    this.#absences += 1;
    return this.#absences >= absencesMax;
  }

  #failed(place: number, call: LineCall, reply: RouteReply): LineOutcome {
    const { error } = reply;
    if (error === undefined) throw new Error("a call that did not fail");
    if (this.#chunk.job.form.kind === "native") return failure(this.#chunk, place, error.toWire());
    return call.read(reply)[0] ?? failure(this.#chunk, place, error.toWire());
  }

  #had(outcome: LineOutcome): void {
    const { place, code } = outcome;
    if (code !== null && waitingCodes.has(code)) return;
    if (code === "model_not_found" && this.#absences > 0) return;
    this.#steps += 1;
    if (code !== null && doubtfulCodes.has(code)) {
      const tries = (this.#tries.get(place) ?? 0) + 1;
      this.#tries.set(place, tries);
      if (tries < triesMax) return;
    }
    this.#outcomes.set(place, outcome);
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    const { clock = systemClock } = this.#options;
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const cancel = clock.after(ms, end);
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
    });
  }
}

function isTemporary(code: ErrorCode): boolean {
  return waitingCodes.has(code) || doubtfulCodes.has(code);
}

/** The key is gone, or may not what every line of the job asks for. */
function isOfWholeJob({ code }: MillraceError, { job }: ChunkLines): boolean {
  return code === "unauthenticated" || (code === "forbidden" && job.form.kind === "native");
}
