/**
 * An account of what the pool was told, of what went to its children and came from them, and of what it said became of the
 * items. It shares no code with the ledger, the dialogue or the settling, and knows what the children really have.
 */
import type { ChildFrame, FrameBatch, ParentFrame } from "#src/frames/messages.js";
import type { VirtualClock } from "#src/simulation/virtual-clock.js";
import type { PoolEvent } from "#src/worker/events.js";
import type { ProcessEnd } from "#src/worker/settle.js";
import type { ChildWatcher, EndKind } from "./child-world.js";
import type { FaultyChild } from "./faulty-child.js";
import type { OptionsPlan, SurroundingsPlan } from "./plan.js";
import {
  type PoolItem,
  type PoolPipeline,
  poolItem,
  poolPipeline,
  type Returned,
} from "./pool-account.js";
import type { Judge } from "./rules.js";
import { SettlingAccount } from "./settling-rules.js";

export interface PoolAccountOptions {
  readonly clock: VirtualClock;
  readonly options: OptionsPlan;
  readonly surroundings: SurroundingsPlan;
  readonly judge: Judge;
  /** How many items the real ledger holds. */
  readonly inFlight: () => number;
}

interface Expected {
  readonly type: "batch" | "cancel" | "recall";
  readonly itemIds: readonly number[];
}

/** The kernel's counter is believed for so long. */
const memoryKillMs = 5_000;

export class PoolAccount implements ChildWatcher {
  readonly #o: PoolAccountOptions;
  readonly #items = new Map<number, PoolItem>();
  readonly #pipelines = new Map<string, PoolPipeline>();
  readonly #kills: { readonly atMs: number; readonly kind: EndKind }[] = [];
  #expected: Expected[] = [];
  #measured: object | null = null;
  #held = 0;
  readonly #settling: SettlingAccount;
  stopping = false;

  constructor(options: PoolAccountOptions) {
    this.#o = options;
    this.#settling = new SettlingAccount(options.options.attemptsMax, options.judge);
  }

  isUp(pipelineId: string): boolean {
    return this.#of(pipelineId).up;
  }

  holds(pipelineId: string, itemId: number): boolean {
    return this.#of(pipelineId).held.has(itemId);
  }

  heldElsewhere(pipelineId: string): number | null {
    for (const [other, { held }] of this.#pipelines)
      if (other !== pipelineId) for (const itemId of held.keys()) return itemId;
    return null;
  }

  childOf(pipelineId: string): FaultyChild | null {
    return this.#of(pipelineId).child;
  }

  /** One of these that a pipeline has, and that it was not told to drop. */
  uncancelled(itemIds: readonly number[]): number | undefined {
    return itemIds.find((itemId) => {
      const item = this.#items.get(itemId);
      return item !== undefined && item.pipelineId !== null && !item.cancelled;
    });
  }

  // ── What the pool is told ────────────────────────────────────────────────────────────────────────────────────

  dispatch(pipelineId: string, batch: FrameBatch, act: () => void): void {
    const pipeline = this.#of(pipelineId);
    const itemIds = batch.items.map(({ itemId }) => itemId);
    for (const itemId of itemIds) {
      const item = this.#item(itemId);
      Object.assign(item, { pipelineId, begun: false, cancelled: false, recalled: false });
      item.sentAtMs = this.#o.clock.now();
      if (pipeline.held.has(itemId)) continue;
      pipeline.held.set(itemId, item);
      this.#held += 1;
    }
    this.#doing([{ type: "batch", itemIds }], act);
  }

  cancel(pipelineId: string, itemIds: readonly number[], act: () => void): void {
    const live = this.#live(pipelineId, itemIds);
    for (const item of live) item.cancelled = true;
    const ids = live.map(({ itemId }) => itemId);
    const both = [
      { type: "cancel", itemIds: ids },
      { type: "recall", itemIds: ids },
    ] as const;
    this.#doing(ids.length === 0 ? [] : both, act);
  }

  recall(pipelineId: string, itemIds: readonly number[], act: () => void): void {
    const live = this.#live(pipelineId, itemIds);
    for (const item of live) item.recalled = true;
    const ids = live.map(({ itemId }) => itemId);
    this.#doing(ids.length === 0 ? [] : [{ type: "recall", itemIds: ids }], act);
  }

  /** What does not come out of it at once never does. */
  #doing(expected: readonly Expected[], act: () => void): void {
    const before = this.#expected;
    this.#expected = [...expected];
    act();
    const [missed] = this.#expected;
    this.#expected = before;
    if (missed?.type === "batch") this.#judge("the ledger is written before the frame", "no frame");
    else if (missed !== undefined)
      this.#judge("a child hears of each cancel and recall", `no ${missed.type}`);
  }

  // ── What the children hear and say ───────────────────────────────────────────────────────────────────────────

  spawned(child: FaultyChild): void {
    const pipeline = this.#of(child.spec.pipelineId);
    if (pipeline.child !== null && !pipeline.child.isEnded)
      this.#judge("one process of a pipeline at a time", child.spec.pipelineId);
    this.#checkWait(pipeline.endedAtMs);
    pipeline.child = child;
    pipeline.loading = null;
    pipeline.hosted.clear();
  }

  sent(child: FaultyChild, frame: ParentFrame): void {
    const { pipelineId } = child.spec;
    if (child.isKilled) this.#judge("a child is spoken to in order", `${frame.type} after its end`);
    if (frame.type === "stop") return;
    if (!child.saidHello && child.isGood)
      this.#judge("a child is spoken to in order", `${frame.type} before its hello`);
    if (frame.type === "unload") this.#of(pipelineId).hosted.delete(frame.model);
    if (frame.type === "load" || frame.type === "unload") return;
    if (frame.type === "batch" && child.isGood && !child.saidLoaded.has(frame.model))
      this.#judge("a child is spoken to in order", `a batch of ${frame.model}, which it has not`);
    if (this.#o.inFlight() !== this.#held - this.#dying)
      this.#judge("the ledger is written before the frame", `${frame.type} to ${pipelineId}`);
    const expected = this.#expected.shift();
    const isIt = expected?.type === frame.type && expected.itemIds.join() === idsOf(frame).join();
    if (!isIt)
      this.#judge(
        "a child hears of each cancel and recall",
        `${frame.type} of ${idsOf(frame).join()}`,
      );
  }

  hears(child: FaultyChild, frame: ChildFrame): void {
    const pipeline = this.#of(child.spec.pipelineId);
    const { held, up } = pipeline;
    if (frame.type === "loaded") pipeline.hosted.add(frame.model);
    if (frame.type === "loading" && up) pipeline.loading = frame.model;
    if (frame.type === "loaded" && pipeline.loading === frame.model) pipeline.loading = null;
    if (frame.type === "load-failed" && pipeline.loading === frame.model) pipeline.loading = null;
    // Of a model that was told to go nobody needs to know.
    if (frame.type === "report" && up && child.isGood && pipeline.hosted.has(frame.model))
      this.#measured = frame.stages;
    if (frame.type !== "run" || !up || frame.begunItemIds.length > held.size) return;
    for (const itemId of frame.begunItemIds) {
      const item = held.get(itemId);
      if (item !== undefined) item.begun = true;
    }
  }

  heardLie(child: FaultyChild, what: string): void {
    if (!child.isKilled && !this.stopping)
      this.#judge("a liar is ended at once", `${child.spec.pipelineId}: ${what}`);
  }

  killed(child: FaultyChild): void {
    if (child.isEnded || this.stopping || child.blame !== null) return;
    const nowMs = this.#o.clock.now();
    // Where the server itself stood still, a start may take longer than it waits for one.
    const { pauses } = this.#o.surroundings;
    const stoodStill = pauses.some(({ atMs, ms }) => atMs + ms >= child.bornAtMs && atMs <= nowMs);
    if (stoodStill && (!child.wasReady || child.loadAsked !== null)) return;
    const silentMs = nowMs - child.heardAtMs;
    if (silentMs <= this.#o.options.runMsMax)
      this.#judge("a good child is never killed", child.spec.pipelineId);
  }

  #checkWait(endedAtMs: number | null): void {
    if (endedAtMs === null) return;
    const { clock, options, surroundings } = this.#o;
    const waitedMs = clock.now() - endedAtMs;
    const pausesMs = surroundings.pauses.reduce((sum, { ms }) => sum + ms, 0);
    const { backoffMinMs, backoffMaxMs } = options;
    if (waitedMs < backoffMinMs / 2 || waitedMs > backoffMaxMs + surroundings.lateMsMax + pausesMs)
      this.#judge("a pipeline waits before it starts again", `it waited ${waitedMs} ms`);
  }

  ends(child: FaultyChild, end: ProcessEnd): void {
    this.#of(child.spec.pipelineId).endedAtMs = this.#o.clock.now();
    if (end.kind !== "signalled" || child.isKilled) return;
    const nowMs = this.#o.clock.now();
    this.#kills.push({ atMs: nowMs, kind: child.endKind });
    const recent = this.#kills.filter(({ atMs }) => nowMs - atMs <= memoryKillMs);
    const kinds = new Set(recent.map(({ kind }) => kind).filter((kind) => kind !== "fault"));
    // The counter has no names: of two kills at about the same time nobody knows which was whose.
    this.#of(child.spec.pipelineId).doubt =
      child.endKind !== "fault" &&
      (kinds.size > 1 ||
        this.#memoryKills.some(
          (atMs) => nowMs - atMs <= memoryKillMs && child.endKind === "outside",
        ));
  }

  readonly #memoryKills: number[] = [];

  killedForMemory(): void {
    if (this.#o.surroundings.killCounter) this.#memoryKills.push(this.#o.clock.now());
  }

  /** Nobody waits for ever: when the child must have been found by now, is it? */
  hangs(child: FaultyChild): void {
    const { clock, options, surroundings } = this.#o;
    const { hangFloorMs, hangFactor, runMsMax, checkMs, stillChecksMax } = options;
    const looksMs = (stillChecksMax + 4) * (checkMs + surroundings.lateMsMax + 1);
    const found = surroundings.processTimes && child.isStill;
    const runFloorMs = found
      ? Math.min(hangFloorMs + hangFactor * child.predictedMsMost, runMsMax)
      : runMsMax;
    // A load has a bound of its own, and says nothing until it ends.
    const isLoading = this.#of(child.spec.pipelineId).loading !== null;
    const floorMs = isLoading ? Math.max(runFloorMs, options.startTimeoutMs) : runFloorMs;
    const pausesMs = surroundings.pauses.reduce((sum, { ms }) => sum + ms, 0);
    const boundMs =
      (floorMs + looksMs) * (1 + surroundings.pauses.length) +
      pausesMs +
      surroundings.latencyMs +
      child.voice.extraMs;
    const look = (): void => {
      if (child.isKilled || child.isEnded || this.stopping) return;
      let sinceMs = clock.now();
      for (const item of this.#of(child.spec.pipelineId).held.values())
        sinceMs = Math.min(sinceMs, item.sentAtMs);
      const silentMs = clock.now() - Math.max(sinceMs, child.silentSinceMs ?? 0);
      if (silentMs > boundMs) this.#judge("a hang is found in time", child.spec.pipelineId);
      else if (sinceMs < clock.now()) clock.at(clock.now() + boundMs - silentMs + 1, look);
    };
    clock.at(clock.now() + boundMs + 1, look);
  }

  // ── What the pool says ───────────────────────────────────────────────────────────────────────────────────────

  /** Just before the pool's owner hears it. */
  hear(event: PoolEvent): void {
    const pipeline = this.#of(event.pipelineId);
    switch (event.type) {
      case "up":
        pipeline.up = true;
        return;
      case "down":
        pipeline.up = false;
        pipeline.endedLoading = pipeline.loading !== null && !this.stopping;
        if (!this.stopping && (event.loading?.model ?? null) !== pipeline.loading)
          this.#judge("an end while loading is the model's", `${event.loading?.model}`);
        pipeline.dying = new Map(pipeline.held);
        pipeline.entries = [...pipeline.held.values()];
        return;
      case "outcome": {
        const item = this.#leave(pipeline, event.itemId);
        if (item === null) return;
        if (item.cancelled)
          this.#judge("a cancelled item comes to nothing", `item ${item.itemId} has an outcome`);
        if (event.attempt !== item.attempts + 1)
          this.#judge("attempts are counted", `attempt ${event.attempt}, not ${item.attempts + 1}`);
        return;
      }
      case "dropped":
        for (const itemId of event.itemIds) this.#dropped(pipeline, itemId);
        return;
      case "returned":
        if (pipeline.dying === null) this.#gaveBack(pipeline, event);
        else
          this.#settling.settled(pipeline, event, {
            stopping: this.stopping,
            leave: (itemId) => void this.#leave(pipeline, itemId),
          });
        return;
      case "measured":
        if (this.#measured === event.stages) this.#measured = null;
        return;
      case "run":
      case "start-failed":
      case "loaded":
      case "load-failed":
      case "unloaded":
        return;
    }
  }

  /** Between two things that happen. */
  endTurn(): void {
    if (this.#measured !== null) this.#judge("what a good child measured is heard", "it was not");
    for (const [pipelineId, pipeline] of this.#pipelines) {
      if (pipeline.dying === null) continue;
      if (pipeline.dying.size > 0)
        this.#judge(
          "what a dead pipeline held is settled at once",
          `${pipeline.dying.size} items of ${pipelineId}`,
        );
      pipeline.dying = null;
    }
  }

  atEnd(): void {
    for (const [pipelineId, { held }] of this.#pipelines)
      if (held.size > 0)
        this.#judge("what was taken is given back", `${held.size} in ${pipelineId}`);
  }

  #dropped(pipeline: PoolPipeline, itemId: number): void {
    const item = this.#leave(pipeline, itemId);
    if (item === null) return;
    if (!item.cancelled)
      this.#judge(
        "an item leaves the ledger once, and by its own pipeline",
        `item ${itemId} was wanted`,
      );
    const { child, dying } = pipeline;
    if (dying === null && child?.isGood === true && child.has(itemId))
      this.#judge("a cancel is confirmed by the child", `it still has item ${itemId}`);
  }

  /** After a recall, by a pipeline that lives. */
  #gaveBack(pipeline: PoolPipeline, { innocent, groups, failed }: Returned): void {
    for (const itemId of [...innocent, ...groups.flat(), ...failed.map((each) => each.itemId)]) {
      const item = this.#leave(pipeline, itemId);
      if (item === null) continue;
      if (item.cancelled)
        this.#judge("a cancelled item comes to nothing", `item ${itemId} comes back`);
      if (!item.recalled || groups.length + failed.length > 0)
        this.#judge("the innocent are not blamed", `item ${itemId} comes back from a good child`);
      if (pipeline.child?.isGood === true && pipeline.child.has(itemId))
        this.#judge("a cancel is confirmed by the child", `it still has item ${itemId}`);
    }
  }

  /** No more in the ledger, and what became of it is not said yet. */
  get #dying(): number {
    let dying = 0;
    for (const pipeline of this.#pipelines.values()) dying += pipeline.dying?.size ?? 0;
    return dying;
  }

  /** Out of the ledger, by this pipeline: null where it is not there. */
  #leave(pipeline: PoolPipeline, itemId: number): PoolItem | null {
    const item = pipeline.held.get(itemId);
    if (item === undefined) {
      this.#judge("an item leaves the ledger once, and by its own pipeline", `item ${itemId}`);
      return null;
    }
    pipeline.held.delete(itemId);
    pipeline.dying?.delete(itemId);
    item.pipelineId = null;
    this.#held -= 1;
    return item;
  }

  #live(pipelineId: string, itemIds: readonly number[]): PoolItem[] {
    const { held, up } = this.#of(pipelineId);
    if (!up) return [];
    return itemIds.flatMap((itemId) => held.get(itemId) ?? []).filter((item) => !item.cancelled);
  }

  #item(itemId: number): PoolItem {
    let item = this.#items.get(itemId);
    if (item === undefined) {
      item = poolItem(itemId);
      this.#items.set(itemId, item);
    }
    return item;
  }

  #of(pipelineId: string): PoolPipeline {
    let pipeline = this.#pipelines.get(pipelineId);
    if (pipeline === undefined) {
      pipeline = poolPipeline();
      this.#pipelines.set(pipelineId, pipeline);
    }
    return pipeline;
  }

  get #judge(): Judge {
    return this.#o.judge;
  }
}

function idsOf(frame: ParentFrame): readonly number[] {
  if (frame.type === "batch") return frame.items.map(({ itemId }) => itemId);
  return frame.type === "cancel" || frame.type === "recall" ? frame.itemIds : [];
}
