/** A pool of fake runtimes that writes down what it was told, and lets tests wait for it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FrameItem } from "#src/frames/messages.js";
import { generationPayload } from "#src/work/generation.js";
import type { PoolEvent } from "#src/worker/events.js";
import type { PipelineSpec } from "#src/worker/pipeline.js";
import { Pool, type PoolOptions } from "#src/worker/pool.js";

export const fakeEntry: string = fileURLToPath(new URL("./fake-runtime.js", import.meta.url));

/** Short enough for tests, long enough for a busy machine with two cores. */
export const quickOptions = {
  startTimeoutMs: 20_000,
  stopTimeoutMs: 5_000,
  backoffMinMs: 1,
  backoffMaxMs: 20,
  checkMs: 50,
  // Tests that mean a hang say so; held items must not look like one on a slow machine.
  hangFloorMs: 60_000,
  hangFactor: 1,
  stillChecksMax: 2,
  runMsMax: 60_000,
} as const;

/** Finds a hang soon. */
export const impatient = { hangFloorMs: 100 } as const;

export const quiet = { info: (): void => {}, warn: (): void => {} };

export function makeItem(itemId: number, ...tokenIds: number[]): FrameItem {
  const settings = { beams: 1, nBest: 1, lengthPenalty: 1, maxLength: 9 };
  return { itemId, payload: generationPayload({ tokenIds, settings }) };
}

/** A model folder of the fake runtime's. */
export class FakeModel implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "millrace-fake-"));

  write(name: "behaviour" | "release", text = ""): void {
    writeFileSync(join(this.dir, name), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

type EventOf<Type extends PoolEvent["type"]> = Extract<PoolEvent, { readonly type: Type }>;

/** Every event goes to those who wait for it, once; what nobody waited for stays. */
export class EventLog {
  readonly all: PoolEvent[] = [];
  #unread: PoolEvent[] = [];
  #waiting: { type: string; resolve: (event: PoolEvent) => void }[] = [];

  push(event: PoolEvent): void {
    this.all.push(event);
    const at = this.#waiting.findIndex(({ type }) => type === event.type);
    if (at === -1) this.#unread.push(event);
    else this.#waiting.splice(at, 1)[0]?.resolve(event);
  }

  async next<Type extends PoolEvent["type"]>(type: Type): Promise<EventOf<Type>> {
    const isWanted = (event: PoolEvent): event is EventOf<Type> => event.type === type;
    const found = this.#unread.find(isWanted);
    if (found !== undefined) {
      this.#unread = this.#unread.filter((event) => event !== found);
      return found;
    }
    const event = await new Promise<PoolEvent>((resolve) => this.#waiting.push({ type, resolve }));
    assert(isWanted(event));
    return event;
  }
}

export interface FakePoolOptions extends Partial<PoolOptions> {
  readonly model: FakeModel;
  readonly count?: number;
}

/** `p0`, `p1` and so on, each with the fake runtime. */
export function pipelinesOf(count: number): PipelineSpec[] {
  return Array.from({ length: count }, (_, index) => ({
    pipelineId: `p${index}`,
    kind: "shared",
    threads: 1,
    modelMemoryBytesMax: 1_000_000,
  }));
}

/** Each pipeline that comes up is told to load the model `fake`, as its owner would. */
function loadingAtOnce(
  pool: () => Pool,
  dir: string,
  onEvent: (event: PoolEvent) => void,
): (event: PoolEvent) => void {
  return (event) => {
    onEvent(event);
    const load = { model: "fake", modelDir: dir, rowsMax: 8 };
    if (event.type === "up") pool().load(event.pipelineId, load);
  };
}

export class FakePool implements AsyncDisposable {
  readonly events: EventLog = new EventLog();
  readonly pool: Pool;

  constructor({ model, count = 1, ...rest }: FakePoolOptions) {
    const pipelines = pipelinesOf(count);
    const options = { entry: fakeEntry, log: quiet, pipelines, ...quickOptions, ...rest };
    const push = (event: PoolEvent): void => this.events.push(event);
    this.pool = new Pool(
      options,
      loadingAtOnce(() => this.pool, model.dir, push),
    );
    this.pool.start();
  }

  dispatch(batchId: number, items: readonly FrameItem[], pipelineId = "p0"): void {
    this.pool.dispatch(pipelineId, { batchId, model: "fake", class: "bulk", items });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.pool.stop({ drainMs: 0 });
  }
}
