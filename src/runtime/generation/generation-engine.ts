/**
 * READ FIRST of this folder. The loop inside a pipeline for models that generate token by token: it takes new items in,
 * in encoder chunks of bounded time, and advances the items of one lane by one token a run. Realtime goes first and has
 * rows of its own; while it runs, bulk rows pause with their cache kept and still get a share of the time.
 *
 *   admit ─► waiting ── encode ─► a slot of a lane ── decode, decode, … ─► finished
 *               │           │                │
 *               │           │                └─ the run fails: again, alone in a lane; fails again: failed
 *               │           └─ the chunk fails: halves of it; one alone: failed
 *               └─ recall
 *
 * Which run is next is chosen in choosing.ts. What an item is: active-item.ts.
 */
import { type WorkClass, workClasses } from "millrace-client/wire";
import type { FrameItem, FrameOutcome, StageReport } from "../../frames/messages.js";
import { usualRowsMax } from "../../models/engine-definition.js";
import { hypothesesPayload, readGenerationInput } from "../../work/generation.js";
import type { Engine, EngineEvents } from "../engine.js";
import { failed } from "../failed-outcome.js";
import { usualBulkShare } from "../owed-share.js";
import { RunCost } from "../run-cost.js";
import { StageMeter } from "../stage-meter.js";
import { type ActiveItem, refusalOf, startItem } from "./active-item.js";
import { cacheShapeOf, type EncodedBatch } from "./arena.js";
import { Choosing, type ChoosingLimits, type EngineWork, type RunDecision } from "./choosing.js";
import type { GenerationModel, StepResult } from "./generation-model.js";
import type { Lane } from "./lane.js";
import { Lanes } from "./lanes.js";
import { type Candidates, candidatesNeeded, type SearchRules } from "./search/search.js";

export type GenerationEngineOptions = ChoosingLimits;

export const generationEngineDefaults: GenerationEngineOptions = {
  rowsMax: usualRowsMax,
  chunkMs: 20,
  chunkBesideRealtimeMs: 5,
  gatherMs: 20,
  bulkShare: usualBulkShare,
};

/** What the engine uses of a model. */
export type GenerationRuns = Pick<
  GenerationModel,
  "manifest" | "encode" | "step" | "rest" | "release" | "memoryBytes"
>;

export class GenerationEngine implements Engine {
  readonly #model: GenerationRuns;
  readonly #events: EngineEvents;
  readonly #rules: SearchRules;
  readonly #waiting: Record<WorkClass, ActiveItem[]> = { realtime: [], bulk: [] };
  readonly #lanes: Lanes;
  /** Items in the encoder and in lanes, by id. */
  readonly #begun = new Map<number, ActiveItem>();
  /** Of those begun: a run may be reading their caches right now, so they go before the next one. */
  readonly #cancelled = new Set<number>();
  readonly #encodeCost = new RunCost(0.05);
  readonly #decodeCost = new RunCost(0.2);
  readonly #meter = new StageMeter();
  readonly #choosing: Choosing;

  constructor(
    model: GenerationRuns,
    events: EngineEvents,
    options: GenerationEngineOptions = generationEngineDefaults,
  ) {
    this.#model = model;
    this.#events = events;
    const { generation, shape } = model.manifest;
    this.#rules = {
      endTokenId: generation.endTokenId,
      forcedEndTokenId: generation.forcedEndTokenId,
      badWords: generation.badWords,
      earlyStopping: generation.earlyStopping,
      renormalizeLogits: generation.renormalizeLogits,
    };
    this.#lanes = new Lanes({
      rowsMax: options.rowsMax,
      shape: cacheShapeOf(shape),
    });
    this.#choosing = new Choosing(options, {
      encodeUnitsWithin: (ms) => this.#encodeCost.unitsWithin(ms),
      encodeMs: (units) => this.#encodeCost.predictMs(units),
      decodeMs: (rows) => this.#decodeCost.predictMs(rows),
    });
  }

  admit(workClass: WorkClass, items: readonly FrameItem[]): void {
    const refused: FrameOutcome[] = [];
    for (const item of items) {
      const refusal = this.#admitOne(workClass, item);
      if (refusal !== null) refused.push(failed(item, new Error(refusal)));
    }
    if (refused.length > 0) this.#events.onOutcomes(refused);
  }

  cancel(itemIds: readonly number[]): void {
    const gone = new Set(itemIds);
    this.#takeWaiting(gone);
    for (const itemId of gone) if (this.#begun.has(itemId)) this.#cancelled.add(itemId);
  }

  recall(itemIds: readonly number[]): number[] {
    return this.#takeWaiting(new Set(itemIds)).map(({ itemId }) => itemId);
  }

  get idle(): boolean {
    return (
      workClasses.every((workClass) => this.#waiting[workClass].length === 0) && !this.#running
    );
  }

  get #running(): boolean {
    return this.#lanes.rows > 0;
  }

  async step(): Promise<void> {
    this.#dropCancelled();
    const decision = this.#choosing.decide(this.#work, performance.now());
    if (decision.kind !== "idle") {
      const startedAtMs = performance.now();
      if (decision.kind === "encode") await this.#encodeChunk(decision);
      else await this.#decode(this.#lanes.get(decision.laneKey));
      this.#choosing.ran(decision, performance.now() - startedAtMs, this.#work);
      this.#lanes.tidy();
    }
    if (this.idle) {
      this.#lanes.rest();
      this.#model.rest();
    }
  }

  predictedMs(): number {
    return this.#choosing.predictedMs(this.#work, performance.now());
  }

  release(): Promise<void> {
    return this.#model.release();
  }

  begunItemIds(): number[] {
    return [...this.#begun.keys()];
  }

  takeReport(): readonly StageReport[] {
    return this.#meter.take();
  }

  get memoryBytes(): number {
    return this.#lanes.byteLength + this.#model.memoryBytes;
  }

  get #work(): EngineWork<ActiveItem> {
    return { waiting: this.#waiting, lanes: this.#lanes };
  }

  // ── Ways in, and back out before anything has begun ───────────────────────────────────────────────────────────

  /** Why not, where it is not admitted. */
  #admitOne(workClass: WorkClass, { itemId, payload }: FrameItem): string | null {
    const input = readGenerationInput(payload);
    if (input === null) return "the item is not one that this engine generates from";
    const refusal = refusalOf(input, this.#model.manifest.shape);
    if (refusal !== null) return refusal;
    const receivedAtMs = performance.now();
    const { startTokenId } = this.#model.manifest.generation;
    this.#waiting[workClass].push(
      startItem({ itemId, workClass, input, rules: this.#rules, startTokenId, receivedAtMs }),
    );
    return null;
  }

  #takeWaiting(wanted: ReadonlySet<number>): ActiveItem[] {
    const taken: ActiveItem[] = [];
    for (const workClass of workClasses) {
      this.#waiting[workClass] = this.#waiting[workClass].filter((item) => {
        const stays = !wanted.has(item.itemId);
        if (!stays) taken.push(item);
        return stays;
      });
    }
    return taken;
  }

  // ── Runs ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #encodeChunk({
    chunk,
    width,
  }: Extract<RunDecision<ActiveItem>, { readonly kind: "encode" }>): Promise<void> {
    this.#takeWaiting(new Set(chunk.map(({ itemId }) => itemId)));
    for (const item of chunk) this.#begun.set(item.itemId, item);
    await this.#encode(chunk, width);
  }

  /** One bad item fails alone: a chunk that throws is tried again in halves. */
  async #encode(chunk: readonly ActiveItem[], width: number): Promise<void> {
    const paddedUnits = chunk.length * width;
    const rows = chunk.length;
    this.#announce("encode", { rows, width }, this.#encodeCost.predictMs(paddedUnits));
    const startedAtMs = performance.now();
    let encoded: EncodedBatch;
    try {
      const inputs = chunk.map(({ input }) => input.tokenIds);
      encoded = await this.#model.encode(inputs, width);
    } catch (error) {
      if (chunk.length === 1) return this.#settle(chunk.map((item) => failed(item, error)));
      const middle = chunk.length >> 1;
      await this.#encode(chunk.slice(0, middle), width);
      return await this.#encode(chunk.slice(middle), width);
    }
    const ms = performance.now() - startedAtMs;
    this.#encodeCost.learn(paddedUnits, ms);
    const units = chunk.reduce((sum, { tokens }) => sum + tokens, 0);
    this.#meter.add("encode", { rows, units, paddedUnits, ms });
    for (const [index, item] of chunk.entries()) {
      try {
        this.#lanes.laneFor(item, width).add(item, encoded, index);
      } catch (error) {
        // There was no memory for it.
        this.#tryAgain([item], error);
      }
    }
  }

  async #decode(lane: Lane): Promise<void> {
    this.#finishForced(lane);
    if (lane.rows === 0) return;
    const { rows } = lane;
    const { shape, shortlist } = this.#model.manifest;
    const topK = Math.min(
      candidatesNeeded(lane.arena.shape.width, this.#rules),
      shortlist?.tokens ?? shape.targetVocabulary,
    );
    const startedAtMs = performance.now();
    let result: StepResult;
    try {
      lane.arena.reserve();
      const width = lane.arena.pastWidth;
      this.#announce("decode", { rows, width }, this.#decodeCost.predictMs(rows));
      result = await this.#model.step(lane.arena, lane.tokens, topK);
    } catch (error) {
      return this.#runAlone(lane, error);
    }
    lane.arena.advance();
    this.#choose(lane, { ...result, count: topK });
    const ms = performance.now() - startedAtMs;
    this.#decodeCost.learn(rows, ms);
    this.#meter.add("decode", { rows, units: rows, paddedUnits: rows, ms });
  }

  #choose(lane: Lane, from: Omit<Candidates, "rowOffset">): void {
    const { width } = lane.arena.shape;
    this.#removeEnded(lane, (item, slot) =>
      lane.advance(slot, { ...from, rowOffset: slot * width }) ? finished(item) : null,
    );
  }

  /** The end token is forced at the last position: no run is needed to know it. */
  #finishForced(lane: Lane): void {
    this.#removeEnded(lane, (item) => {
      if (!item.search.forced) return null;
      item.search.force();
      return finished(item);
    });
  }

  /** An item whose search throws has failed; its neighbours end, or go on, as if it had not. */
  #removeEnded(
    lane: Lane,
    outcomeOf: (item: ActiveItem, slot: number) => FrameOutcome | null,
  ): void {
    const outcomes: FrameOutcome[] = [];
    // Backwards, because a slot that leaves is overwritten by the last one, which has had its turn then.
    for (let slot = lane.items.length - 1; slot >= 0; slot -= 1) {
      const item = lane.items[slot];
      if (item === undefined) continue;
      let outcome: FrameOutcome | null;
      try {
        outcome = outcomeOf(item, slot);
      } catch (error) {
        outcome = failed(item, error);
      }
      if (outcome === null) continue;
      lane.remove(slot);
      outcomes.push(outcome);
    }
    this.#settle(outcomes);
  }

  // ── Ways out ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Each of these items has begun, and is in no lane any more. */
  #settle(outcomes: readonly FrameOutcome[]): void {
    const wanted = outcomes.filter(({ itemId }) => {
      this.#begun.delete(itemId);
      return !this.#cancelled.delete(itemId);
    });
    if (wanted.length > 0) this.#events.onOutcomes(wanted);
  }

  /** A decoder run failed: its items begin again, each by itself; one that fails by itself has failed. */
  #runAlone(lane: Lane, error: unknown): void {
    const items = [...lane.items];
    while (lane.items.length > 0) lane.remove(lane.items.length - 1);
    if (items.length === 1) this.#settle(items.map((item) => failed(item, error)));
    else this.#tryAgain(items, error);
  }

  #tryAgain(items: readonly ActiveItem[], error: unknown): void {
    const { startTokenId } = this.#model.manifest.generation;
    for (const item of items) {
      if (item.alone) this.#settle([failed(item, error)]);
      if (item.alone) continue;
      this.#begun.delete(item.itemId);
      if (this.#cancelled.delete(item.itemId)) continue;
      const fresh = startItem({ ...item, rules: this.#rules, startTokenId });
      this.#waiting[item.workClass].push({ ...fresh, alone: true });
    }
  }

  #dropCancelled(): void {
    if (this.#cancelled.size === 0) return;
    for (const lane of this.#lanes) {
      for (let slot = lane.items.length - 1; slot >= 0; slot -= 1) {
        const item = lane.items[slot];
        if (item !== undefined && this.#cancelled.has(item.itemId)) lane.remove(slot);
      }
    }
    for (const itemId of this.#cancelled) this.#begun.delete(itemId);
    this.#cancelled.clear();
  }

  #announce(
    stage: string,
    run: { readonly rows: number; readonly width: number },
    predictedMs: number,
  ): void {
    this.#events.onRun({ stage, ...run, predictedMs, itemsBegin: stage === "encode" });
  }
}

/** The search has ended. */
function finished({ itemId, search }: ActiveItem): FrameOutcome {
  return { itemId, ok: true, value: hypothesesPayload(search.results()) };
}
