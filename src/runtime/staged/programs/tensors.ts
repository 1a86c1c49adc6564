/**
 * The program `tensors`: one run of a graph that is somebody else's. Where each row's result is its own, rows of many items
 * lie one below the other in a run, and each item gets its rows back; else an item runs by itself.
 *
 *   item A [2, 3] ─┐                       ┌─► rows 0, 1 ──► outcome of A
 *   item B [1, 3] ─┴─► [3, 3] ─ run ─► [3, 2] ─► row 2 ─────► outcome of B
 */
import { join } from "node:path";
import type { TensorsManifest } from "../../../models/programs/manifest-tensors.js";
import { tensorsCost } from "../../../models/programs/tensors-cost.js";
import type { Payload, Tensor } from "../../../work/payload.js";
import {
  joinRows,
  type NamedTensor,
  putTensor,
  rowsOf,
  takeTensor,
} from "../../../work/tensors.js";
import type { EngineRequest } from "../../engine.js";
import { openSession, runTensors, type Session } from "../../session.js";
import type { Program, Stage, StageInput, StageResult } from "../program.js";
import { tryRows } from "./tensors-trial.js";

/** Units of one run, which are kilobytes of its inputs; the scheduler sends less at once, by what it learned. */
const unitsMax = 64 * 1_024;

/** Throws whatever is wrong with the graph, as ONNX Runtime says it. */
export async function openTensors({
  modelDir,
  manifest,
  threads,
  rowsMax,
}: EngineRequest<TensorsManifest>): Promise<Program> {
  const { files, limits } = manifest;
  const session = await openSession(join(modelDir, files.graph), { threads, spin: false });
  const trial = await tryRows(session, manifest);
  if (trial.problem !== null) process.stderr.write(`${manifest.name}: ${trial.problem}\n`);
  return new TensorsProgram(session, manifest, {
    rowsApart: trial.rowsApart,
    warmUp: trial.inputs,
    rowsMax: Math.min(rowsMax, limits.rowsMax ?? rowsMax),
  });
}

interface Findings {
  readonly rowsApart: boolean;
  /** What the graph could be run with; null where nothing is known that it takes. */
  readonly warmUp: readonly NamedTensor[] | null;
  readonly rowsMax: number;
}

/** Of an item, on its way. */
interface Asked {
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
        name: "graph",
        kind: "session",
        limits: { rowsMax: findings.rowsApart ? findings.rowsMax : 1, paddedUnitsMax: unitsMax },
        run: (inputs) => this.#run(inputs),
      },
    ];
  }

  begin(payload: Payload): StageInput | string {
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
    const data: Asked = { list, outputs: asked.map(Number) };
    return { stage: 0, cost: tensorsCost(this.#manifest, list), data };
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
    const byPlace = new Map(wanted.map((place, at) => [place, answers[at]]));
    const rows = list[0]?.shape[0] ?? 0;
    let from = 0;
    return all.map((one): StageResult => {
      const until = from + (one.list[0]?.shape[0] ?? 0);
      const value = new Map<number, NamedTensor>();
      for (const place of one.outputs) {
        const answer = byPlace.get(place);
        if (answer === undefined) throw new Error(`the run gave no output ${place}`);
        value.set(place, all.length === 1 ? answer : ownRows(answer, { from, until, rows }));
      }
      from = until;
      return { kind: "done", value };
    });
  }

  finish(value: unknown): Payload {
    const tensors: Record<string, Tensor> = {};
    for (const [place, tensor] of value as Map<number, NamedTensor>)
      putTensor(tensors, place, tensor);
    return { values: { rowsApart: this.#findings.rowsApart }, tensors };
  }

  warmUp(): readonly Payload[] {
    const { warmUp } = this.#findings;
    if (warmUp === null) return [];
    const tensors: Record<string, Tensor> = {};
    for (const [place, tensor] of warmUp.entries()) putTensor(tensors, place, tensor);
    return [{ values: { outputs: this.#manifest.outputs.map((_, place) => place) }, tensors }];
  }

  judgeWarmUp(answer: Payload): string | null {
    const lacking = this.#manifest.outputs.find(
      (entry, place) => takeTensor(answer, place, entry) === null,
    );
    return lacking === undefined ? null : `it gave no ${lacking.datatype} ${lacking.name}`;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Throws where the output has not a row for each of the inputs': then each item runs by itself. */
function ownRows(
  answer: NamedTensor,
  { from, until, rows }: { readonly from: number; readonly until: number; readonly rows: number },
): NamedTensor {
  if (answer.shape[0] === rows) return rowsOf(answer, from, until);
  throw new Error(`output ${answer.name} has ${answer.shape[0] ?? "no"} rows of ${rows}`);
}
