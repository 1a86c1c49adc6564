/**
 * The program `tensors`: one run of a graph that is somebody else's. Where each row's result is its own, rows of many items
 * lie one below the other in a run, and each item gets its rows back; else an item runs by itself.
 *
 *   item A [2, 3] ─┐                       ┌─► rows 0, 1 ──► outcome of A
 *   item B [1, 3] ─┴─► [3, 3] ─ run ─► [3, 2] ─► row 2 ─────► outcome of B
 *
 * An item of more rows than a run takes, or ends with in time, is cut, and its rows come together again.
 */
import { join } from "node:path";
import type { TensorsManifest } from "../../../models/programs/manifest-tensors.js";
import { tensorsCost } from "../../../models/programs/tensors-cost.js";
import type { Payload, Tensor } from "../../../work/payload.js";
import {
  joinRows,
  type NamedTensor,
  putTensor,
  RowReader,
  takeTensor,
} from "../../../work/tensors.js";
import type { EngineRequest } from "../../engine.js";
import { runTensors, type Session } from "../../session.js";
import { sharedFiles } from "../../shared-weights.js";
import { openShared } from "../open-shared.js";
import type { Program, Stage, StageInput, StageResult, StageResultValue } from "../program.js";
import { probedShapes, probeRows } from "./tensors-probe.js";

/** Units of one run, which are kilobytes of its inputs; the scheduler sends less at once, by what it learned. */
const unitsMax = 64 * 1_024;

/** Throws whatever is wrong with the graph, as ONNX Runtime says it. */
export async function openTensors(request: EngineRequest<TensorsManifest>): Promise<Program> {
  const { modelDir, manifest, threads, rowsMax, weightsCache } = request;
  const { files, limits } = manifest;
  const shared = await sharedFiles(weightsCache, {
    dir: modelDir,
    files: [files.graph, ...files.data],
    probes: probedShapes(manifest),
  });
  const options = { threads, spin: false, data: files.data };
  const graph = join(modelDir, files.graph);
  const session = await openShared(request, "graph", { graph, options, shared });
  const probed = await probeRows(session, manifest);
  if (probed.problem !== null) process.stderr.write(`${manifest.name}: ${probed.problem}\n`);
  return new TensorsProgram(session, manifest, {
    rowsApart: probed.rowsApart,
    warmUp: probed.inputs,
    mayPair: probed.rowsApart && !manifest.batchDeclared,
    rowsMax: Math.min(rowsMax, limits.rowsMax ?? rowsMax),
  });
}

interface Findings {
  readonly rowsApart: boolean;
  /** What the graph could be run with; null where nothing is known that it takes. */
  readonly warmUp: readonly NamedTensor[] | null;
  /** It was seen to take two rows. */
  readonly mayPair: boolean;
  readonly rowsMax: number;
}

/** Places in `stages`. */
const stages = { cut: 0, graph: 1 } as const;

/** By their places among the outputs. */
type Answers = ReadonlyMap<number, NamedTensor>;

/** Of an item, on its way. */
interface Asked {
  /** Of each part that it is cut into, at most. */
  readonly partRows: number;
  readonly list: readonly NamedTensor[];
  /** Places among the model's outputs. */
  readonly outputs: readonly number[];
}

class TensorsProgram implements Program {
  readonly stages: readonly Stage[];
  readonly #session: Session;
  readonly #manifest: TensorsManifest;
  readonly #findings: Findings;

  constructor(session: Session, manifest: TensorsManifest, findings: Findings) {
    this.#session = session;
    this.#manifest = manifest;
    this.#findings = findings;
    this.stages = [
      {
        name: "cut",
        kind: "thread",
        limits: { rowsMax: 4_096, paddedUnitsMax: unitsMax },
        run: (inputs) => Promise.resolve(inputs.map((input) => this.#cut(input))),
      },
      {
        name: "graph",
        kind: "session",
        limits: { rowsMax: findings.rowsApart ? findings.rowsMax : 1, paddedUnitsMax: unitsMax },
        run: (inputs) => this.#run(inputs),
      },
    ];
  }

  begin(payload: Payload, runUnits: (stage: number) => number): StageInput | string {
    const { inputs, outputs } = this.#manifest;
    const asked: unknown = payload.values["outputs"];
    if (!Array.isArray(asked) || !asked.every((place) => outputs[Number(place)] !== undefined)) {
      return "the item does not say which outputs it wants";
    }
    const list: NamedTensor[] = [];
    for (const [place, entry] of inputs.entries()) {
      const tensor = takeTensor(payload, place, entry);
      if (tensor === null) return `the item has no ${entry.datatype} ${entry.name}`;
      list.push(tensor);
    }
    const { rowsApart, rowsMax } = this.#findings;
    const problem = rowsApart ? unevenRows(list) : null;
    if (problem !== null) return problem;
    const cost = tensorsCost(this.#manifest, list);
    const inTime = Math.floor((runUnits(stages.graph) * cost.rows) / cost.units);
    const most = Math.min(rowsMax, Math.max(1, inTime));
    // In equal parts: a last one of a row or two would be a run by itself.
    const partRows = Math.ceil(cost.rows / Math.ceil(cost.rows / most));
    const data: Asked = { list, outputs: asked.map(Number), partRows };
    return { stage: rowsApart && cost.rows > partRows ? stages.cut : stages.graph, cost, data };
  }

  #cut({ cost: { rows }, data }: StageInput): StageResult {
    const { list, outputs, partRows } = data as Asked;
    const readers = list.map((tensor) => new RowReader(tensor));
    const inputs: StageInput[] = [];
    for (let from = 0; from < rows; from += partRows) {
      const part = readers.map((reader) => reader.take(Math.min(partRows, rows - from)));
      const cost = tensorsCost(this.#manifest, part);
      const asked: Asked = { list: part, outputs, partRows };
      inputs.push({ stage: stages.graph, cost, data: asked });
    }
    return { kind: "next", inputs, gather: (results) => gathered(outputs, results) };
  }

  async #run(inputs: readonly StageInput[]): Promise<readonly StageResult[]> {
    const all = inputs.map(({ data }) => data as Asked);
    const list = this.#manifest.inputs.map(({ name }, place) => {
      const whole = joinRows(all.flatMap((one) => one.list[place] ?? []));
      if (whole === null) throw new Error(`rows of ${name} have different shapes in one run`);
      return whole;
    });
    const wanted = [...new Set(all.flatMap(({ outputs }) => outputs))];
    const entries = wanted.flatMap((place) => this.#manifest.outputs[place] ?? []);
    const answers = await runTensors(this.#session, list, entries);
    return takenApart(all, new Map(wanted.map((place, at) => [place, answers[at]])));
  }

  finish(value: unknown): Payload {
    const tensors: Record<string, Tensor> = {};
    for (const [place, tensor] of value as Answers) putTensor(tensors, place, tensor);
    return { values: { rowsApart: this.#findings.rowsApart }, tensors };
  }

  warmUp(): readonly Payload[] {
    const { warmUp, mayPair } = this.#findings;
    if (warmUp === null) return [];
    // Of two rows as well: what more rows take is not known of one.
    const pair = warmUp.flatMap((tensor) => joinRows([tensor, tensor]) ?? []);
    const lists = mayPair && pair.length === warmUp.length ? [warmUp, pair] : [warmUp];
    return lists.map((list) => {
      const tensors: Record<string, Tensor> = {};
      for (const [place, tensor] of list.entries()) putTensor(tensors, place, tensor);
      return { values: { outputs: this.#manifest.outputs.map((_, place) => place) }, tensors };
    });
  }

  judgeWarmUp(answer: Payload): string | null {
    const lacking = this.#manifest.outputs.find(
      (entry, place) => takeTensor(answer, place, entry) === null,
    );
    return lacking === undefined ? null : `it gave no ${lacking.datatype} ${lacking.name}`;
  }

  async release(): Promise<void> {
    this.#session.release();
  }
}

/** Whoever sent it could not know that the graph's rows are apart. */
function unevenRows([first, ...others]: readonly NamedTensor[]): string | null {
  if (first === undefined) return null;
  const shown = JSON.stringify(first.name);
  const rows = first.shape[0] ?? 0;
  const other = others.find(({ shape }) => shape[0] !== rows);
  if (other === undefined) return null;
  return `tensor ${JSON.stringify(other.name)}: it has ${other.shape[0] ?? 0} rows, ${shown} has ${rows}`;
}

/** To each its own rows. Throws where an output has not a row for each of the inputs': then each item runs by itself. */
function takenApart(
  all: readonly Asked[],
  answers: ReadonlyMap<number, NamedTensor | undefined>,
): readonly StageResult[] {
  const rows = all.map(({ list }) => list[0]?.shape[0] ?? 0);
  const sum = rows.reduce((total, each) => total + each, 0);
  const parts = [...answers].map(([place, answer]) => {
    if (answer === undefined) throw new Error(`the run gave no output ${place}`);
    if (all.length === 1) return { place, own: [answer] };
    if (answer.shape[0] !== sum) {
      throw new Error(`output ${answer.name} has ${answer.shape[0] ?? "no"} rows of ${sum}`);
    }
    const reader = new RowReader(answer);
    return { place, own: rows.map((each) => reader.take(each)) };
  });
  return all.map(({ outputs }, at): StageResult => {
    const asked = parts.filter(({ place }) => outputs.includes(place));
    const value: Answers = new Map(
      asked.flatMap(({ place, own }) => {
        const mine = own[at];
        return mine === undefined ? [] : [[place, mine] as const];
      }),
    );
    return { kind: "done", value };
  });
}

/** Of all parts that an item was cut into, in their order. Throws what one of them threw. */
function gathered(outputs: readonly number[], results: readonly StageResultValue[]): Answers {
  const parts = results.map((result) => {
    if (!result.ok) throw result.error;
    return result.value as Answers;
  });
  const whole = outputs.map((place) => {
    const answer = joinRows(parts.flatMap((part) => part.get(place) ?? []));
    if (answer === null) throw new Error(`rows of output ${place} have different shapes`);
    return [place, answer] as const;
  });
  return new Map(whole);
}
