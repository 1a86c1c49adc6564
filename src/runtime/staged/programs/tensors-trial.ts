/**
 * Whether each row's result is its own. The graph does not say: a first axis that is free may be a sequence, or its rows may be
 * normalised together. So two rows are run alone and together, and must come to the same.
 */
import type { DeclaredTensor, TensorsManifest } from "../../../models/programs/manifest-tensors.js";
import { elementsOf, type TensorData, tensorArrays } from "../../../work/payload.js";
import {
  joinRows,
  type NamedTensor,
  rowsOf,
  tensorTypes,
  textTensor,
} from "../../../work/tensors.js";
import { runTensors, type Session } from "../../session.js";

export interface Trial {
  readonly rowsApart: boolean;
  /** Inputs of one row that the graph took; null where it took none. */
  readonly inputs: readonly NamedTensor[] | null;
  /** What is to be told of it; null where nothing is. */
  readonly problem: string | null;
}

/** Sizes that are tried where an axis is free: a convolution takes nothing that is narrower than its kernel. */
const sizesTried: readonly number[] = [1, 8, 32, 128];
/** More is not made up only to try it. */
const madeBytesMax = 64 * 1024 * 1024;
const absoluteMax = 1e-5;
const relativeMax = 1e-4;

/** Fills the element of a row: the kinds in the order in which they are tried. */
type Made = (row: number, at: number) => number;
const mixed: Made = (row, at) => (Math.imul(at + 1 + 7_919 * row, 2_654_435_761) >>> 8) / 2 ** 24;
const kinds: readonly Made[] = [mixed, () => 1, () => 0];

export async function tryRows(session: Session, manifest: TensorsManifest): Promise<Trial> {
  const { batch, batchDeclared } = manifest;
  let reason = "";
  for (const made of kinds) {
    for (const size of hasOpenAxes(manifest) ? sizesTried : [1]) {
      const first = makeRow(manifest, { made, size, row: 0 });
      if (first === null) continue;
      try {
        const alone = await runTensors(session, first, manifest.outputs);
        if (batch !== "free") return { rowsApart: false, inputs: first, problem: null };
        if (batchDeclared) return { rowsApart: true, inputs: first, problem: null };
        // Rows that are alike show nothing.
        const problem =
          made === mixed
            ? await together(session, manifest, { first, alone, size })
            : "it takes no made-up rows";
        return {
          rowsApart: problem === null,
          inputs: first,
          problem: problem && `${problem}; ${oneByOne}`,
        };
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }
  const rowsApart = batch === "free" && batchDeclared;
  const problem = `it could not be tried with made-up tensors${reason === "" ? "" : ` (${reason})`}`;
  return {
    rowsApart,
    inputs: null,
    problem: rowsApart || batch !== "free" ? problem : `${problem}; ${oneByOne}`,
  };
}

const oneByOne =
  'one request a run ("batch": "free" in its millrace.json says that rows are apart all the same)';

/** Why two rows are not what each of them is alone; null where they are. */
async function together(
  session: Session,
  manifest: TensorsManifest,
  {
    first,
    alone,
    size,
  }: {
    readonly first: readonly NamedTensor[];
    readonly alone: readonly NamedTensor[];
    readonly size: number;
  },
): Promise<string | null> {
  const second = makeRow(manifest, { made: mixed, size, row: 1 });
  const both = first.map((tensor, place) => joinRows([tensor, second?.[place] ?? tensor]));
  const pair = both.filter((tensor) => tensor !== null);
  try {
    const other = await runTensors(session, second ?? first, manifest.outputs);
    const answers = await runTensors(session, pair, manifest.outputs);
    for (const [place, answer] of answers.entries()) {
      if (answer.shape[0] !== 2)
        return `output ${answer.name} has no row for each row of the inputs`;
      for (const [row, expected] of [alone[place], other[place]].entries()) {
        if (expected !== undefined && isSame(rowsOf(answer, row, row + 1), expected)) continue;
        return `a row of output ${answer.name} depends on the rows beside it`;
      }
    }
    return null;
  } catch (error) {
    return `it takes no two rows: ${error instanceof Error ? error.message : String(error)}`;
  }
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
function makeRow({ inputs, batch, sizes }: TensorsManifest, row: Row): NamedTensor[] | null {
  let bytes = 0;
  const shapes = inputs.map(({ shape, datatype }) => {
    const own = (shape ?? [""]).map((axis, at) => {
      if (batch === "free" && at === 0) return 1;
      if (typeof axis === "number") return axis;
      return (Object.hasOwn(sizes, axis) ? sizes[axis] : undefined) ?? row.size;
    });
    bytes += elementsOf(own) * tensorArrays[tensorTypes[datatype]].BYTES_PER_ELEMENT;
    return own;
  });
  if (!(bytes <= madeBytesMax)) return null;
  return inputs.map((entry, place) => makeTensor(entry, shapes[place] ?? [], row));
}

/** Fractions from 0 to 1; integers 0 and 1, which are in every vocabulary. */
function makeTensor(
  { name, datatype }: DeclaredTensor,
  shape: readonly number[],
  { made, row }: Row,
): NamedTensor {
  const elements = elementsOf(shape);
  if (datatype === "BYTES") {
    const texts = Array.from({ length: elements }, (_, at) => (made(row, at) < 0.5 ? "a" : "b"));
    return textTensor(texts, { name, shape });
  }
  const data = new tensorArrays[tensorTypes[datatype]](elements);
  for (let at = 0; at < elements; at += 1) {
    const value = made(row, at);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array)
      data[at] = BigInt(Math.round(value));
    else if (datatype === "FP32" || datatype === "FP64") data[at] = value;
    // The bits of one half, and of one.
    else if (datatype === "FP16") data[at] = value === 0 ? 0 : value < 0.5 ? 0x3800 : 0x3c00;
    else data[at] = Math.round(value);
  }
  return { name, datatype, shape, data };
}
