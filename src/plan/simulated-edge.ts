/**
 * An edge before several simulated servers: its door, and the rules by which it chooses a node. What goes over NATS takes no time.
 *
 *   arrive ─► admission ─┬► whole: to the node that would be done soonest; refused there: to another one
 *                        └► large: simulated-lots.ts, a lot at a time to all of them
 */
import { MillraceError } from "millrace-client/wire";
import { entryMs } from "../nats/announced.js";
import { isLargeForAll } from "../nats/choose-lot.js";
import { Random } from "../simulation/random.js";
import { Admission } from "../submit/admission.js";
import { candidatesFor, type NodeCandidate } from "../submit/nats/known-models.js";
import { isElsewhere, NodeTries } from "../submit/nats/node-tries.js";
import { leftMs } from "./call-parts.js";
import type { RecordedCall } from "./recorded-load.js";
import { SimulatedLots } from "./simulated-lots.js";
import { SimulatedNode } from "./simulated-node.js";
import {
  type CallError,
  type CallEvents,
  type CallTaker,
  callErrorOf,
  type SimulatedServerParts,
} from "./simulated-server.js";

export interface SimulatedEdgeParts extends Omit<SimulatedServerParts, "onResidence"> {
  readonly nodes: number;
  /** Whether requests of the task can be cut into lots. */
  readonly isCut: (task: string) => boolean;
}

/** Whatever is drawn is the same in each replay. */
const seed = 1;
/** Nobody is lost here. */
const attemptsMax = 1;
const edges = 1;
const nobody = new MillraceError("not_ready", "no node takes it");

export class SimulatedEdge implements CallTaker {
  readonly #parts: SimulatedEdgeParts;
  readonly #nodes: ReadonlyMap<string, SimulatedNode>;
  readonly #admission: Admission;
  readonly #random = new Random(seed);

  constructor(parts: SimulatedEdgeParts) {
    const { clock, load, nodes: count } = parts;
    this.#parts = parts;
    const { queuedItemsMax, queuedBytesMax } = load.head.options;
    this.#admission = new Admission({ queuedItemsMax, queuedBytesMax }, clock);
    const tasks = tasksOf(load.calls);
    const nodes = Array.from({ length: count }, (_, at) => {
      // Slow moments of a machine are its own: each node has those of the recording at another time.
      const shiftMs = (load.lengthMs * at) / count;
      const recordedMs = (): number => (parts.recordedMs() + shiftMs) % Math.max(1, load.lengthMs);
      const phaseMs = (entryMs * (at + 1)) / count;
      return new SimulatedNode({ ...parts, instance: `n${at}`, phaseMs, recordedMs, tasks });
    });
    this.#nodes = new Map(nodes.map((node) => [node.instance, node]));
  }

  get busyMs(): number {
    let ms = 0;
    for (const { server } of this.#nodes.values()) ms += server.busyMs;
    return ms;
  }

  arrive(call: RecordedCall, events: CallEvents): void {
    let ticket: ReturnType<Admission["admit"]>;
    try {
      ticket = this.#admission.admit({ items: call.inputs, bytes: call.bytes });
    } catch (error) {
      return events.onEnd(callErrorOf(error), false);
    }
    ticket.prepared();
    const onEnd: CallEvents["onEnd"] = (error, wasLetIn) => {
      ticket.release();
      events.onEnd(error, wasLetIn);
    };
    if (this.#isLarge(call)) this.#inLots(call, { ...events, onEnd });
    else this.#whole(call, { ...events, onEnd });
  }

  #isLarge(call: RecordedCall): boolean {
    const { bulkThreshold } = this.#parts.load.head.options;
    if (call.inputs === 1 || !this.#parts.isCut(call.task)) return false;
    // Of no class and few inputs: it is as large as its sentences, which only its node counts.
    if (call.class === "realtime" && call.inputs < bulkThreshold) return false;
    return isLargeForAll(this.#candidates(call), call.inputs);
  }

  #candidates({ task, model, class: workClass }: RecordedCall): readonly NodeCandidate[] {
    const nodes = [...this.#nodes.values()].map(({ heard }) => heard);
    return candidatesFor({ task, model, workClass }, { nodes }, "edge");
  }

  #inLots(call: RecordedCall, events: CallEvents): void {
    const { clock } = this.#parts;
    const lots = new SimulatedLots(call, events, {
      clock,
      candidates: () => this.#candidates(call),
      ask: (node, part, partEvents) => this.#ask(node, part, partEvents),
    });
    lots.begin();
  }

  #whole(call: RecordedCall, events: CallEvents): void {
    const { clock } = this.#parts;
    const tries = new NodeTries(attemptsMax);
    const arrivedAtMs = clock.now();
    const random = (): number => this.#random.next();
    const next = (refusal: CallError | null): void => {
      const node = tries.choose(this.#candidates(call), { items: call.inputs, random });
      if (node === null) return events.onEnd(refusal ?? nobody, false);
      tries.tried(node);
      const part = { ...call, deadlineMs: leftMs(call, clock.now() - arrivedAtMs) };
      this.#ask(node, part, {
        ...events,
        onEnd: (error, wasLetIn) => {
          if (wasLetIn || error === null || !isElsewhere(error))
            return events.onEnd(error, wasLetIn);
          tries.refused();
          next(error);
        },
      });
    };
    next(null);
  }

  #ask({ instance, itemMs, pipelines }: NodeCandidate, part: RecordedCall, events: CallEvents) {
    const node = this.#nodes.get(instance);
    if (node === undefined) throw new Error(`there is no node ${instance}`);
    node.heard.sent({ items: part.inputs, itemMs, pipelines }, edges);
    node.server.arrive(part, events);
  }
}

function tasksOf(calls: readonly RecordedCall[]): ReadonlyMap<string, readonly string[]> {
  const tasks = new Map<string, Set<string>>();
  for (const { model, task } of calls) tasks.set(model, (tasks.get(model) ?? new Set()).add(task));
  return new Map([...tasks].map(([model, names]) => [model, [...names]]));
}
