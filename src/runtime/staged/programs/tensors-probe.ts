/**
 * Whether each row's result is its own. The graph does not say: a first axis that is free may be a sequence, or its rows may be
 * normalised together. So two rows are run alone and together, and must come to the same.
 */
import type { DeclaredTensor, TensorsManifest } from "../../../models/programs/manifest-tensors.js";
import { elementsOf, type TensorData, tensorArrays } from "../../../work/payload.js";
import {
  joinRows,
  type NamedTensor,
  RowReader,
  tensorTypes,
  textTensor,
} from "../../../work/tensors.js";
import { messageOf } from "../../../work/thrown.js";
import { runTensors, type Session } from "../../session.js";

export interface ProbedRows {
  readonly rowsApart: boolean;
  /** Inputs of one row that the graph took; null where it took none. */
  readonly inputs: readonly NamedTensor[] | null;
  /** What is to be told of it; null where nothing is. */
  readonly problem: string | null;
}

/** Sizes that are tried where an axis is free: a convolution takes nothing that is narrower than its kernel. */
const probedSizes: readonly number[] = [1, 8, 32, 128];
/** More is not made up only to try it. */
const madeBytesMax = 64 * 1024 * 1024;
const absoluteMax = 1e-5;
const relativeMax = 1e-4;

/** Fills the element of a row: a fraction from 0 to 1, and the integer that stands for it where the tensor has such. */
interface Made {
  readonly fraction: (row: number, at: number) => number;
  readonly integer: (fraction: number) => number;
  /** Whether rows differ: those that are alike show nothing. */
  readonly shows: boolean;
}

/** Rows of other sizes as well as of other numbers, for what is scaled by the largest of all rows. */
const mixed = (row: number, at: number): number => noise(row, at) / (1 + row);

const noise = (row: number, at: number): number =>
  (Math.imul(at + 1 + 7_919 * row, 2_654_435_761) >>> 8) / 2 ** 24;

/** In the order in which they are tried; the first that the graph takes counts. Integers of bytes, then those of every vocabulary. */
const kinds: readonly Made[] = [
  { fraction: mixed, integer: (fraction) => Math.floor(fraction * 256), shows: true },
  { fraction: noise, integer: Math.round, shows: true },
  { fraction: () => 1, integer: Math.round, shows: false },
  { fraction: () => 0, integer: Math.round, shows: false },
];

/** Of one row of each input, in all sizes that are tried. */
export function probedShapes(manifest: TensorsManifest): number[][][] {
  const sizes = hasOpenAxes(manifest) ? probedSizes : [1];
  const all = sizes.map((size) => rowShapes(manifest, size));
  return all.filter((shapes): shapes is number[][] => shapes !== null);
}

export async function probeRows(session: Session, manifest: TensorsManifest): Promise<ProbedRows> {
  const { batch, batchDeclared } = manifest;
  const declared = batch === "free" && batchDeclared;
  const taken = await findInputs(session, manifest);
  if ("reason" in taken) {
    const problem = `it could not be tried with made-up tensors${taken.reason}`;
    return {
      rowsApart: declared,
      inputs: null,
      problem: batch === "free" ? withCure(problem, declared) : problem,
    };
  }
  const { inputs } = taken;
  if (batch !== "free" || declared) return { rowsApart: declared, inputs, problem: null };
  const problem = await together(session, manifest, taken);
  return { rowsApart: problem === null, inputs, problem: problem && withCure(problem, declared) };
}

function withCure(problem: string, declared: boolean): string {
  const cure = '"batch": "free" in its millrace.json says that rows are apart all the same';
  return declared ? problem : `${problem}; one request a run (${cure})`;
}

interface Taken {
  readonly made: Made;
  readonly size: number;
  /** One row of each. */
  readonly inputs: readonly NamedTensor[];
  readonly answers: readonly NamedTensor[];
}

/** The first that the graph takes, or why it takes none. */
async function findInputs(
  session: Session,
  manifest: TensorsManifest,
): Promise<Taken | { readonly reason: string }> {
  let reason = "";
  for (const made of kinds) {
    for (const size of hasOpenAxes(manifest) ? probedSizes : [1]) {
      const inputs = makeRow(manifest, { made, size, row: 0 });
      if (inputs === null) continue;
      try {
        const answers = await runTensors(session, inputs, manifest.outputs);
        return { made, size, inputs, answers };
      } catch (error) {
        reason = `: ${messageOf(error)}`;
      }
    }
  }
  return { reason };
}

/** Why two rows are not what each of them is alone; null where they are. */
async function together(
  session: Session,
  manifest: TensorsManifest,
  { made, size, inputs, answers: first }: Taken,
): Promise<string | null> {
  const others = made.shows ? makeRow(manifest, { made, size, row: 1 }) : null;
  if (others === null) return "it takes no made-up rows that differ";
  try {
    const second = await runTensors(session, others, manifest.outputs);
    const rows = [
      { inputs, answers: first },
      { inputs: others, answers: second },
    ] as const;
    // In both orders: what sorts its rows finds them sorted in one of them.
    const problem = await pairProblem(session, manifest, rows);
    return problem ?? (await pairProblem(session, manifest, [rows[1], rows[0]]));
  } catch (error) {
    return `it takes no two rows: ${messageOf(error)}`;
  }
}

type Alone = Pick<Taken, "inputs" | "answers">;

async function pairProblem(
  session: Session,
  manifest: TensorsManifest,
  [upper, lower]: readonly [Alone, Alone],
): Promise<string | null> {
  const both = upper.inputs.map((tensor, place) =>
    joinRows([tensor, lower.inputs[place] ?? tensor]),
  );
  const pair = both.filter((tensor) => tensor !== null);
  const answers = await runTensors(session, pair, manifest.outputs);
  for (const [place, answer] of answers.entries()) {
    const { name } = answer;
    if (answer.shape[0] !== 2) return `output ${name} has no row for each row of the inputs`;
    const rows = new RowReader(answer);
    for (const alone of [upper.answers[place], lower.answers[place]]) {
      if (alone !== undefined && isSame(rows.take(1), alone)) continue;
      return `a row of output ${name} depends on the rows beside it`;
    }
  }
  return null;
}

function isSame(found: NamedTensor, expected: NamedTensor): boolean {
  if (found.shape.join() !== expected.shape.join()) return false;
  if (found.data.length !== expected.data.length) return false;
  if (found.lengths !== undefined && found.lengths.join() !== expected.lengths?.join())
    return false;
  const isFraction = found.datatype === "FP32" || found.datatype === "FP64";
  for (let at = 0; at < found.data.length; at += 1) {
    const [one, other] = [found.data[at] ?? 0, expected.data[at] ?? 0];
    if (one === other || (one !== one && other !== other)) continue;
    if (!isFraction) return found.datatype === "FP16" && isNearHalf(found.data, expected.data);
    const near = absoluteMax + relativeMax * Math.abs(Number(other));
    if (!(Math.abs(Number(one) - Number(other)) <= near)) return false;
  }
  return true;
}

/** Halves that are neighbours: a last bit may differ where a product was split otherwise. */
function isNearHalf(found: TensorData, expected: TensorData): boolean {
  for (let at = 0; at < found.length; at += 1) {
    if (Math.abs(Number(found[at] ?? 0) - Number(expected[at] ?? 0)) > 2) return false;
  }
  return true;
}

function hasOpenAxes({ inputs, batch }: TensorsManifest): boolean {
  const first = batch === "free" ? 1 : 0;
  return inputs.some(
    ({ shape }) => shape?.some((axis, at) => at >= first && typeof axis === "string") ?? true,
  );
}

interface Row {
  readonly made: Made;
  readonly size: number;
  readonly row: number;
}

/** One row of each input; null where that would be too much. */
function makeRow(manifest: TensorsManifest, row: Row): NamedTensor[] | null {
  const shapes = rowShapes(manifest, row.size);
  return shapes && manifest.inputs.map((entry, at) => makeTensor(entry, shapes[at] ?? [], row));
}

function rowShapes({ inputs, batch, sizes }: TensorsManifest, size: number): number[][] | null {
  let bytes = 0;
  const shapes = inputs.map(({ shape, datatype }) => {
    const own = (shape ?? [""]).map((axis, at) => {
      if (batch === "free" && at === 0) return 1;
      if (typeof axis === "number") return axis;
      return (Object.hasOwn(sizes, axis) ? sizes[axis] : undefined) ?? size;
    });
    bytes += elementsOf(own) * tensorArrays[tensorTypes[datatype]].BYTES_PER_ELEMENT;
    return own;
  });
  return bytes <= madeBytesMax ? shapes : null;
}

function makeTensor(
  { name, datatype }: DeclaredTensor,
  shape: readonly number[],
  { made, row }: Row,
): NamedTensor {
  const elements = elementsOf(shape);
  if (datatype === "BYTES") {
    const texts = Array.from({ length: elements }, (_, at) =>
      made.fraction(row, at) < 0.5 ? "a" : "b",
    );
    return textTensor(texts, { name, shape });
  }
  const data = new tensorArrays[tensorTypes[datatype]](elements);
  for (let at = 0; at < elements; at += 1) {
    const value = made.fraction(row, at);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array)
      data[at] = BigInt(made.integer(value));
    else if (datatype === "FP32" || datatype === "FP64") data[at] = value;
    // The bits of one half, and of one.
    else if (datatype === "FP16") data[at] = value === 0 ? 0 : value < 0.5 ? 0x3800 : 0x3c00;
    else data[at] = datatype === "BOOL" ? Math.round(value) : made.integer(value);
  }
  return { name, datatype, shape, data };
}
