/**
 * What one process hosts, as its parent knows it: one for each life of a process.
 *
 *   load ──► asked ── it says loading ──► loading ──┬─ loaded ───────► resident ── unload ──► leaving ── unloaded ──► gone
 *                                                   └─ load-failed ──► gone
 *
 * From `loading` to its end nothing is begun in the process, so an end in between is taken for the model's doing.
 */
import assert from "node:assert/strict";
import type { PipelineModel } from "millrace-client/wire";
import type { ChildFrame } from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";

interface Resident {
  readonly bytes: number;
  readonly loads: number;
  usedAtMs: number;
}

export type LoadFrame = Extract<
  ChildFrame,
  { readonly type: "loading" | "loaded" | "load-failed" | "unloaded" }
>;

export class Residents {
  readonly #resident = new Map<string, Resident>();
  /** Told to go, in that order. */
  readonly #leaving: string[] = [];
  #load: { readonly model: string; begun: boolean } | null = null;
  #loads = 0;

  /** The load that was asked for and has not ended; `begun`: the process is at it. */
  get load(): { readonly model: string; readonly begun: boolean } | null {
    return this.#load;
  }

  /** Of any model, by this process. */
  get loads(): number {
    return this.#loads;
  }

  has(model: string): boolean {
    return this.#resident.has(model);
  }

  ask(model: string): void {
    assert(this.#load === null, `scheduler: ${model} is loaded beside ${this.#load?.model}`);
    assert(!this.#resident.has(model), `scheduler: ${model} is loaded twice`);
    this.#load = { model, begun: false };
  }

  leave(model: string): void {
    assert(this.#resident.delete(model), `scheduler: ${model} is unloaded and is not there`);
    this.#leaving.push(model);
  }

  use(model: string, nowMs: number): void {
    const resident = this.#resident.get(model);
    assert(resident !== undefined, `scheduler: items of ${model} where it is not loaded`);
    resident.usedAtMs = nowMs;
  }

  /** Throws `ProtocolError` where nobody asked for that. */
  hear(frame: LoadFrame, nowMs: number): void {
    const { type, model } = frame;
    if (type === "unloaded") {
      if (this.#leaving[0] !== model) throw new ProtocolError(`unloaded ${model} unasked`);
      this.#leaving.shift();
      return;
    }
    const load = this.#load;
    const isExpected = load?.model === model && load.begun === (type !== "loading");
    if (load === null || !isExpected) throw new ProtocolError(`said ${type} of ${model} unasked`);
    if (type === "loading") {
      load.begun = true;
      return;
    }
    this.#load = null;
    if (type !== "loaded") return;
    const { modelBytes: bytes, loads } = frame;
    this.#loads += 1;
    this.#resident.set(model, { bytes, loads, usedAtMs: nowMs });
  }

  /** `inFlight`: items of a model that the process holds. */
  status(nowMs: number, inFlight: (model: string) => number): PipelineModel[] {
    const nothing = { bytes: 0, loads: 0, idleMs: 0, inFlight: 0 };
    const load = this.#load;
    return [
      ...[...this.#resident].map(([model, { bytes, loads, usedAtMs }]): PipelineModel => {
        const held = inFlight(model);
        const idleMs = held > 0 ? 0 : nowMs - usedAtMs;
        return { model, state: "resident", bytes, loads, idleMs, inFlight: held };
      }),
      ...(load === null ? [] : [{ model: load.model, state: "loading", ...nothing } as const]),
      ...this.#leaving.map((model) => ({ model, state: "leaving", ...nothing }) as const),
    ];
  }
}
