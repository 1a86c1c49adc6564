/** What becomes of the items of a pipeline that died: an account of whom the settling may blame, and when it may give up. */
import type { EndKind } from "./child-world.js";
import type { PoolItem, PoolPipeline, Returned } from "./pool-account.js";
import type { Judge } from "./rules.js";

/** How the pipeline ended, for one of its items. */
interface End {
  readonly kind: EndKind | "load";
  /** Nobody else was begun. */
  readonly alone: boolean;
  /** It can have ended in two ways. */
  readonly doubt: boolean;
}

export class SettlingAccount {
  readonly #attemptsMax: number;
  readonly #judge: Judge;

  constructor(attemptsMax: number, judge: Judge) {
    this.#attemptsMax = attemptsMax;
    this.#judge = judge;
  }

  /** What the dead pipeline held: who is to blame, and who has no try left. */
  settled(
    pipeline: PoolPipeline,
    event: Returned,
    pool: { readonly stopping: boolean; readonly leave: (itemId: number) => void },
  ): void {
    const { entries, doubt } = pipeline;
    const kind: End["kind"] = pipeline.endedLoading
      ? "load"
      : (pipeline.child?.seenEndKind ?? "fault");
    const begun = kind === "load" ? [] : entries.filter((item) => item.begun);
    const only = begun.length === 1 ? begun[0] : undefined;
    const blamed = new Set(event.groups.flat());
    const failed = new Map(event.failed.map(({ itemId, error }) => [itemId, error.code]));
    const innocent = new Set(event.innocent);
    if (!pool.stopping) this.#checkHalves(event, blamed.size);
    for (const item of entries) {
      if (item.cancelled) continue;
      const { itemId } = item;
      pool.leave(itemId);
      item.attempts += 1;
      if (!blamed.has(itemId) && !innocent.has(itemId) && !failed.has(itemId)) {
        this.#judge("what a dead pipeline held is settled at once", `item ${itemId}`);
        continue;
      }
      if (pool.stopping) continue;
      const end: End = { kind, alone: item === only, doubt };
      this.#weigh(item, end);
      const code = failed.get(itemId);
      this.#checkFailure(item, code, end);
      if (code === undefined && !doubt) this.#checkBlame(item, blamed.has(itemId), kind);
    }
    for (const itemId of [...blamed, ...innocent, ...failed.keys()])
      if (!entries.some((item) => item.itemId === itemId))
        this.#judge("an item leaves the ledger once, and by its own pipeline", `item ${itemId}`);
  }

  #weigh(item: PoolItem, { kind, alone, doubt }: End): void {
    if (kind === "load") return;
    const isFault = kind !== "outside";
    if (alone && isFault && !doubt) item.aloneFaults += 1;
    if (alone && (isFault || doubt)) item.aloneMaybe += 1;
    if (item.begun && !isFault && !doubt) item.outsideEnds += 1;
    if (item.begun && (!isFault || doubt)) item.outsideMaybe += 1;
  }

  #checkFailure(item: PoolItem, code: string | undefined, { alone, doubt }: End): void {
    const what = `item ${item.itemId} after ${item.attempts} attempts, ${item.aloneFaults} alone: ${code}`;
    if (code === "item_poison" && (item.aloneMaybe < 2 || !alone))
      this.#judge("only who was alone at two faults is a poison", what);
    if (code !== "item_poison" && alone && item.aloneFaults >= 2 && !doubt)
      this.#judge("only who was alone at two faults is a poison", what);
    if (code === "worker_lost" && item.attempts < this.#attemptsMax)
      this.#judge("a worker is lost only after all attempts", what);
    if (code === undefined && item.attempts >= this.#attemptsMax)
      this.#judge("a worker is lost only after all attempts", what);
  }

  #checkBlame(item: PoolItem, isBlamed: boolean, kind: End["kind"]): void {
    const isBlamedAfter = (outsideEnds: number): boolean =>
      item.begun &&
      kind !== "load" &&
      (kind !== "outside" || outsideEnds > 1 || item.attempts === this.#attemptsMax - 1);
    const what = `item ${item.itemId} at an end by ${kind}`;
    if (isBlamed && !isBlamedAfter(item.outsideMaybe))
      this.#judge("the innocent are not blamed", what);
    if (!isBlamed && isBlamedAfter(item.outsideEnds))
      this.#judge("who was begun at a fault is a suspect", what);
  }

  #checkHalves({ groups }: Returned, blamed: number): void {
    const most = Math.max(1, Math.ceil(blamed / 2));
    for (const group of groups)
      if (group.length > most || group.length === 0)
        this.#judge("suspects are halved", `${group.length} of ${blamed} in one group`);
  }
}
