/**
 * The loop inside a pipeline for translation: at every step it admits new sentences, in encoder chunks of bounded
 * time, and advances the sentences of one lane by one token. Realtime goes first and has rows of its own; while it
 * runs, bulk rows pause with their cache kept and still get a share of the time, so that they never starve.
 */

import { MillraceError, type WorkClass } from "millrace-client/wire";
import type { FrameItem, FrameOutcome, StageReport } from "../frames/messages.js";
import { type EncodedBatch, padWidth } from "./arena.js";
import type { Engine, EngineEvents } from "./engine.js";
import { type Job, Lane } from "./lane.js";
import { RunCost } from "./run-cost.js";
import { BeamSearch } from "./search/beam.js";
import { GreedySearch } from "./search/greedy.js";
import { type Candidates, candidatesNeeded, type SearchRules } from "./search/search.js";
import { StageMeter } from "./stage-meter.js";
import type { TranslationModel } from "./translation-model.js";

export interface TranslationEngineOptions {
  /** Rows of each class that may generate at once. */
  readonly rowsMax: number;
  /** Longest encoder run, alone and while realtime sentences generate. */
  readonly chunkMs: number;
  readonly chunkBesideRealtimeMs: number;
  /** How long a realtime sentence may wait for others, to be encoded together, while many others generate. */
  readonly gatherMs: number;
  /** Part of the time that bulk keeps while realtime has work, 0 to 1. */
  readonly bulkShare: number;
}

export const translationEngineDefaults: TranslationEngineOptions = {
  rowsMax: 64,
  chunkMs: 20,
  chunkBesideRealtimeMs: 5,
  gatherMs: 5,
  bulkShare: 0.125,
};

const idleCacheBytesMax = 4 * 1024 * 1024;

const classes: readonly WorkClass[] = ["realtime", "bulk"];

export class TranslationEngine implements Engine {
  readonly #model: TranslationModel;
  readonly #options: TranslationEngineOptions;
  readonly #events: EngineEvents;
  readonly #rules: SearchRules;
  readonly #waiting: Record<WorkClass, Job[]> = { realtime: [], bulk: [] };
  readonly #lanes = new Map<string, Lane>();
  readonly #cancelled = new Set<number>();
  readonly #encodeCost = new RunCost(0.05);
  readonly #decodeCost = new RunCost(0.2);
  readonly #meter = new StageMeter();
  /** Items of the chunk that is in the encoder now. */
  #encoding: readonly Job[] = [];
  /** Time that bulk is owed by realtime. */
  #owedMs = 0;
  #lastLane: Lane | null = null;

  constructor(
    model: TranslationModel,
    events: EngineEvents,
    options: TranslationEngineOptions = translationEngineDefaults,
  ) {
    this.#model = model;
    this.#events = events;
    this.#options = options;
    const { generation } = model.manifest;
    this.#rules = {
      endTokenId: generation.endTokenId,
      forcedEndTokenId: generation.forcedEndTokenId,
      badWords: generation.badWords,
      earlyStopping: generation.earlyStopping,
      renormalizeLogits: generation.renormalizeLogits,
    };
  }

  add(workClass: WorkClass, items: readonly FrameItem[]): void {
    const receivedAtMs = performance.now();
    for (const item of items) {
      const { beams } = item.settings;
      const start = {
        settings: item.settings,
        rules: this.#rules,
        startTokenId: this.#model.manifest.generation.startTokenId,
      };
      this.#waiting[workClass].push({
        item,
        workClass,
        search: beams === 1 ? new GreedySearch(start) : new BeamSearch(start),
        receivedAtMs,
        startedAtMs: receivedAtMs,
        rows: new Int32Array(beams),
        alone: false,
      });
    }
  }

  /** Takes effect at the next step: a run may be reading the caches right now. */
  cancel(itemIds: readonly number[]): void {
    for (const itemId of itemIds) this.#cancelled.add(itemId);
  }

  recall(itemIds: readonly number[]): number[] {
    const wanted = new Set(itemIds);
    const taken: number[] = [];
    for (const workClass of classes) {
      const [back, kept] = partition(this.#waiting[workClass], (job) =>
        wanted.has(job.item.itemId),
      );
      this.#waiting[workClass] = kept;
      taken.push(...back.map((job) => job.item.itemId));
    }
    return taken;
  }

  begunItemIds(): number[] {
    const running = [...this.#lanes.values()].flatMap((lane) => lane.jobs);
    return [...this.#encoding, ...running].map((job) => job.item.itemId);
  }

  takeReport(): readonly StageReport[] {
    return this.#meter.take();
  }

  get cacheBytes(): number {
    return [...this.#lanes.values()].reduce((sum, lane) => sum + lane.arena.byteLength, 0);
  }

  async step(): Promise<boolean> {
    this.#dropCancelled();
    const workClass = this.#classToServe();
    if (workClass === null) {
      this.#shrink();
      return false;
    }
    const startedAtMs = performance.now();
    const chunk = this.#nextChunk(workClass);
    if (chunk.length > 0) await this.#encode(chunk);
    const lane = this.#nextLane(workClass);
    if (lane !== null) await this.#advance(lane);
    this.#account(workClass, performance.now() - startedAtMs);
    return true;
  }

  // ── Which class, which sentences, which lane ──────────────────────────────────────────────────────────────────

  #classToServe(): WorkClass | null {
    const realtime = this.#hasWork("realtime");
    const bulk = this.#hasWork("bulk");
    if (!realtime) return bulk ? "bulk" : null;
    return bulk && this.#owedMs > this.#decodeCost.predictMs(this.#rowsOf("bulk"))
      ? "bulk"
      : "realtime";
  }

  #hasWork(workClass: WorkClass): boolean {
    return this.#waiting[workClass].length > 0 || this.#rowsOf(workClass) > 0;
  }

  #rowsOf(workClass: WorkClass): number {
    let rows = 0;
    for (const lane of this.#lanes.values()) {
      if (lane.workClass === workClass) rows += lane.arena.count * lane.arena.shape.width;
    }
    return rows;
  }

  #account(workClass: WorkClass, ms: number): void {
    const { bulkShare } = this.#options;
    if (workClass === "bulk") this.#owedMs = Math.max(0, this.#owedMs - ms);
    else if (this.#hasWork("bulk")) this.#owedMs += (ms * bulkShare) / (1 - bulkShare);
    else this.#owedMs = 0;
  }

  /** Sentences of about the same length as the one that waits longest, as many as rows and time allow. */
  #nextChunk(workClass: WorkClass): Job[] {
    const waiting = this.#waiting[workClass];
    const [oldest] = waiting;
    if (oldest === undefined) return [];
    const used = this.#rowsOf(workClass);
    let free = this.#options.rowsMax - used;
    // Its rows are gathered, or sentences that need fewer would overtake it for ever.
    if (used > 0 && oldest.search.width > free) return [];
    const wantedRows = waiting.reduce((sum, job) => sum + job.search.width, 0);
    if (this.#gathers(workClass, { oldest, used, free, wantedRows })) return [];
    const width = padWidth(oldest.item.tokenIds.length);
    let tokens = this.#encodeCost.unitsWithin(this.#chunkMs(workClass));
    const chosen = new Set<Job>();
    for (const job of waiting) {
      const fits =
        job === oldest ||
        (!oldest.alone && !job.alone && padWidth(job.item.tokenIds.length) === width);
      // A sentence with more beams than there are rows still runs, when nothing else does.
      if (!fits || (job.search.width > free && (used > 0 || chosen.size > 0))) continue;
      if (tokens < width && chosen.size > 0) break;
      chosen.add(job);
      free -= job.search.width;
      tokens -= width;
    }
    this.#waiting[workClass] = waiting.filter((job) => !chosen.has(job));
    return [...chosen];
  }

  /**
   * A few sentences are not worth an encoder run of their own while many others generate. Bulk waits until more rows
   * are free; realtime waits for more sentences, but not long.
   */
  #gathers(
    workClass: WorkClass,
    at: {
      readonly oldest: Job;
      readonly used: number;
      readonly free: number;
      readonly wantedRows: number;
    },
  ): boolean {
    const { oldest, used, free, wantedRows } = at;
    if (used === 0) return false;
    if (workClass === "bulk") return free < Math.min(wantedRows, used / 3);
    const young = performance.now() - oldest.receivedAtMs < this.#options.gatherMs;
    return young && Math.min(free, wantedRows) < used / 8;
  }

  #chunkMs(workClass: WorkClass): number {
    const beside = workClass === "bulk" && this.#hasWork("realtime");
    return beside || this.#rowsOf("realtime") > 0
      ? this.#options.chunkBesideRealtimeMs
      : this.#options.chunkMs;
  }

  /** The lanes of a class take turns. */
  #nextLane(workClass: WorkClass): Lane | null {
    const lanes = [...this.#lanes.values()].filter(
      (lane) => lane.workClass === workClass && lane.arena.count > 0,
    );
    const after = this.#lastLane === null ? -1 : lanes.indexOf(this.#lastLane);
    this.#lastLane = lanes[(after + 1) % lanes.length] ?? null;
    return this.#lastLane;
  }

  // ── Runs ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** One bad sentence fails alone: a chunk that throws is tried again in halves. */
  async #encode(chunk: readonly Job[]): Promise<void> {
    const width = padWidth(Math.max(...chunk.map((job) => job.item.tokenIds.length)));
    this.#encoding = chunk;
    this.#announce(
      "encode",
      { rows: chunk.length, width },
      this.#encodeCost.predictMs(chunk.length * width),
    );
    const startedAtMs = performance.now();
    for (const job of chunk) job.startedAtMs = startedAtMs;
    let encoded: EncodedBatch;
    try {
      encoded = await this.#model.encode(
        chunk.map((job) => job.item.tokenIds),
        width,
      );
    } catch (error) {
      this.#encoding = [];
      const [only] = chunk;
      if (chunk.length === 1 && only !== undefined) return this.#fail([only], error);
      const middle = chunk.length >> 1;
      await this.#encode(chunk.slice(0, middle));
      return await this.#encode(chunk.slice(middle));
    }
    const ms = performance.now() - startedAtMs;
    this.#encodeCost.learn(chunk.length * width, ms);
    const tokens = chunk.reduce((sum, job) => sum + job.item.tokenIds.length, 0);
    this.#meter.add("encode", {
      rows: chunk.length,
      tokens,
      paddedTokens: chunk.length * width,
      ms,
    });
    this.#encoding = [];
    for (const [index, job] of chunk.entries()) this.#laneFor(job, width).add(job, encoded, index);
  }

  async #advance(lane: Lane): Promise<void> {
    this.#finishForced(lane);
    if (lane.arena.count === 0) return;
    lane.arena.reserve();
    const { count: slots, pastWidth, shape } = lane.arena;
    const rows = slots * shape.width;
    const topK = Math.min(
      candidatesNeeded(shape.width, this.#rules),
      this.#model.manifest.shape.targetVocabulary,
    );
    this.#announce("decode", { rows, width: pastWidth }, this.#decodeCost.predictMs(rows));
    const startedAtMs = performance.now();
    try {
      const result = await this.#model.step(lane.arena, lane.tokens, topK);
      lane.arena.append(result.newKeyValues);
      this.#choose(lane, { ...result, count: topK });
    } catch (error) {
      return this.#runAlone(lane, error);
    }
    const ms = performance.now() - startedAtMs;
    this.#decodeCost.learn(rows, ms);
    this.#meter.add("decode", { rows, tokens: rows, paddedTokens: rows, ms });
  }

  #choose(lane: Lane, from: Omit<Candidates, "rowOffset">): void {
    const ended: Job[] = [];
    // Backwards, because a slot that leaves is overwritten by the last one, which has had its turn then.
    for (let slot = lane.arena.count - 1; slot >= 0; slot -= 1) {
      const candidates = { ...from, rowOffset: slot * lane.arena.shape.width };
      const job = lane.jobs[slot];
      if (job === undefined || !lane.advance(slot, candidates)) continue;
      ended.push(job);
      lane.remove(slot);
    }
    this.#finish(ended);
  }

  /** The end token is forced at the last position: no run is needed to know it. */
  #finishForced(lane: Lane): void {
    const ended: Job[] = [];
    for (let slot = lane.arena.count - 1; slot >= 0; slot -= 1) {
      const job = lane.jobs[slot];
      if (job === undefined || !job.search.forced) continue;
      job.search.force();
      ended.push(job);
      lane.remove(slot);
    }
    this.#finish(ended);
  }

  // ── Ways out ──────────────────────────────────────────────────────────────────────────────────────────────────

  #finish(jobs: readonly Job[]): void {
    if (jobs.length === 0) return;
    const nowMs = performance.now();
    this.#settle(
      jobs.map((job) => ({
        itemId: job.item.itemId,
        ok: true,
        hypotheses: job.search.results(),
        waitMs: job.startedAtMs - job.receivedAtMs,
        runMs: nowMs - job.startedAtMs,
      })),
    );
  }

  #fail(jobs: readonly Job[], error: unknown): void {
    const code = error instanceof MillraceError ? error.code : "item_failed";
    const message = error instanceof Error ? error.message : String(error);
    this.#settle(jobs.map((job) => ({ itemId: job.item.itemId, ok: false, code, message })));
  }

  #settle(outcomes: readonly FrameOutcome[]): void {
    this.#events.onOutcomes(outcomes.filter((outcome) => !this.#cancelled.delete(outcome.itemId)));
  }

  /** A decoder run failed: its sentences begin again, each by itself; one that fails by itself has failed. */
  #runAlone(lane: Lane, error: unknown): void {
    const jobs = [...lane.jobs];
    while (lane.arena.count > 0) lane.remove(lane.arena.count - 1);
    const [again, failed] = partition(jobs, (job) => !job.alone && jobs.length > 1);
    this.#fail(failed, error);
    for (const job of again) {
      this.add(job.workClass, [job.item]);
      const fresh = this.#waiting[job.workClass].at(-1);
      if (fresh !== undefined) fresh.alone = true;
    }
  }

  #dropCancelled(): void {
    if (this.#cancelled.size === 0) return;
    const gone = (job: Job) => this.#cancelled.has(job.item.itemId);
    for (const workClass of classes) {
      this.#waiting[workClass] = this.#waiting[workClass].filter((job) => !gone(job));
    }
    for (const lane of this.#lanes.values()) {
      for (let slot = lane.arena.count - 1; slot >= 0; slot -= 1) {
        const job = lane.jobs[slot];
        if (job !== undefined && gone(job)) lane.remove(slot);
      }
    }
    this.#cancelled.clear();
  }

  /** Lanes are by class, beams and a power of two of the input's width; a lane that is empty gives its memory back. */
  #laneFor(job: Job, width: number): Lane {
    const bucket = 2 ** Math.ceil(Math.log2(width));
    const beams = job.search.width;
    const key = job.alone ? `alone:${job.item.itemId}` : `${job.workClass}:${beams}:${bucket}`;
    const found = this.#lanes.get(key);
    if (found !== undefined) return found;
    for (const [other, lane] of this.#lanes) if (lane.arena.count === 0) this.#lanes.delete(other);
    const { shape } = this.#model.manifest;
    const lane = new Lane(job.workClass, {
      layers: shape.decoderLayers,
      heads: shape.decoderHeads,
      size: shape.width / shape.decoderHeads,
      width: beams,
      crossWidth: bucket,
      slotsMax: Math.max(1, Math.floor(this.#options.rowsMax / beams)),
    });
    this.#lanes.set(key, lane);
    return lane;
  }

  /** Nothing to do: what a busy hour needed is given back, what a single sentence needs is kept. */
  #shrink(): void {
    for (const [key, lane] of this.#lanes) {
      if (lane.arena.byteLength > idleCacheBytesMax) this.#lanes.delete(key);
    }
  }

  #announce(
    stage: string,
    run: { readonly rows: number; readonly width: number },
    predictedMs: number,
  ): void {
    this.#events.onRun({ stage, ...run, predictedMs, itemsBegin: stage === "encode" });
  }
}

function partition<T>(values: readonly T[], matches: (value: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const value of values) (matches(value) ? yes : no).push(value);
  return [yes, no];
}
