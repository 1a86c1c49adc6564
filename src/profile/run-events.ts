/** What ONNX Runtime wrote down of its runs, as Chrome's tracing reads it, summed up. */

interface RunEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds: when it began, and for how long. */
  readonly ts: number;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

export interface OperatorSum {
  ms: number;
  calls: number;
  /** Milliseconds of each node by its name. */
  readonly nodes: Map<string, number>;
}

export class RunEvents {
  readonly operators: Map<string, OperatorSum> = new Map();
  runs = 0;
  /** Of whole runs: kernels, and what the runtime does around them. */
  runsMs = 0;

  /** What the runs of this text took. Throws where it is not what the runtime writes. */
  add(text: string): number {
    const events = eventsOf(text);
    let ms = 0;
    for (const { cat, name, dur } of events) {
      if (cat !== "Session" || name !== "model_run") continue;
      this.runs += 1;
      ms += dur / 1_000;
    }
    this.runsMs += ms;
    this.#addKernels(events);
    return ms;
  }

  /** Events stand in the order in which they ended: what ran inside of a node (a branch, the body of a loop) stands before it. */
  #addKernels(events: readonly RunEvent[]): void {
    const suffix = "_kernel_time";
    const ended: RunEvent[] = [];
    for (const event of events) {
      const { cat, name, ts, dur, args } = event;
      if (cat !== "Node" || !name.endsWith(suffix)) continue;
      let ownDur = dur;
      for (let last = ended.at(-1); last !== undefined && last.ts >= ts; last = ended.at(-1)) {
        ownDur -= last.dur;
        ended.pop();
      }
      ended.push(event);
      const ms = Math.max(0, ownDur) / 1_000;
      this.#addNode(args?.op_name ?? "?", name.slice(0, -suffix.length), ms);
    }
  }

  #addNode(operator: string, node: string, ms: number): void {
    const sum = this.operators.get(operator) ?? { ms: 0, calls: 0, nodes: new Map() };
    this.operators.set(operator, sum);
    sum.ms += ms;
    sum.calls += 1;
    sum.nodes.set(node, ms + (sum.nodes.get(node) ?? 0));
  }
}

/** @throws Error where it is not what the runtime writes */
function eventsOf(text: string): readonly RunEvent[] {
  let events: unknown;
  try {
    events = JSON.parse(text);
  } catch {
    events = JSON.parse(withNames(text));
  }
  if (!Array.isArray(events)) throw new Error("it is no list of events");
  return events as readonly RunEvent[];
}

/** The runtime writes names of nodes as a graph has them: with quotes and ends of lines, which no JSON has. */
function withNames(text: string): string {
  const [before, behind] = ['"name" :', ',"args" : {'];
  const events = text.split(/(?<=[[,]\n)(?=\{"cat" : ")/);
  const told = events.map((event) => {
    const from = event.indexOf(before) + before.length;
    const to = event.lastIndexOf(behind);
    if (from < before.length || to < from) return event;
    const name = event.slice(from + 1, to - 1);
    return `${event.slice(0, from)}${JSON.stringify(name)}${event.slice(to)}`;
  });
  return told.join("");
}
