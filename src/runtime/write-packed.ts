/** Graphs that are written as ONNX Runtime made them for this processor, so that processes share their weights: see shared-weights.ts. */
import { elementsOf, tensorArrays } from "../work/payload.js";
import { type TensorValue, tensorTypes, textTensor } from "../work/tensors.js";
import { type Feeds, type Fetches, Session } from "./session.js";
import type { SessionOptions } from "./session-settings.js";

/** Shapes of a graph's inputs, in its order. */
export type InputShapes = readonly (readonly number[])[];

/**
 * Writes the graph optimised for this processor, its weights beside it: plain, and in the layout that the kernels use.
 * A session of it packs each weight once more, to compare hashes, and then uses the mapped ones; where they differ,
 * its own.
 */
export async function writePacked(
  path: string,
  options: SessionOptions,
  target: {
    readonly graph: string;
    readonly weightsName: string;
    /** What the graph may take: the first that it does is run through both, which must come to the same. Null: not tried. */
    readonly probes: readonly InputShapes[] | null;
  },
): Promise<void> {
  const session = await Session.open(path, { ...options, written: target });
  try {
    if (target.probes !== null) await prove(session, target.graph, { options, ...target });
  } finally {
    session.release();
  }
}

/** Some kernels (LSTM) end the process that runs them on mapped weights: better this one than a pipeline. */
async function prove(
  plain: Session,
  graph: string,
  of: { readonly options: SessionOptions; readonly probes: readonly InputShapes[] | null },
): Promise<void> {
  const packed = await Session.open(graph, { ...of.options, packed: true });
  try {
    for (const shapes of of.probes ?? []) {
      const feeds = madeFeeds(plain, shapes);
      const wanted = await plain.run(feeds).catch(() => null);
      if (wanted === null) continue;
      const found = await packed.run(feeds);
      const differs = Object.keys(wanted).find((name) => !isSame(found, wanted, name));
      if (differs === undefined) return;
      throw new Error(`with mapped weights its ${differs} is another`);
    }
    throw new Error("it takes nothing that could be made up to try it");
  } finally {
    packed.release();
  }
}

function isSame(found: Fetches, wanted: Fetches, name: string): boolean {
  const [one, other] = [found[name], wanted[name]];
  if (one === undefined || other === undefined) return false;
  const texts = one.lengths?.join() === other.lengths?.join();
  return texts && Buffer.compare(bytesOf(one), bytesOf(other)) === 0;
}

function bytesOf({ data }: TensorValue): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** Numbers from 0 to 1 that differ, integers of 0 and 1: every vocabulary has those. */
function madeFeeds({ inputs }: Session, shapes: InputShapes): Feeds {
  const feeds = inputs.map(({ name, datatype }, place): [string, TensorValue] => {
    const shape = shapes[place] ?? [];
    const noise = Array.from(
      { length: elementsOf(shape) },
      (_, at) => Math.imul(at + 1, 2_654_435_761) >>> 24,
    );
    if (datatype === null) throw new Error(`its input ${name} cannot be made up`);
    if (datatype === "BYTES") return [name, textTensor(noise.map(String), { name, shape })];
    return [name, { datatype, shape, data: dataOf(datatype, noise) }];
  });
  return Object.fromEntries(feeds);
}

function dataOf(datatype: TensorValue["datatype"], noise: readonly number[]): TensorValue["data"] {
  const Elements = tensorArrays[tensorTypes[datatype]];
  if (Elements === BigInt64Array || Elements === BigUint64Array)
    return Elements.from(noise.map((byte) => BigInt(byte & 1)));
  const of: Partial<Record<typeof datatype, (byte: number) => number>> = {
    FP32: (byte) => byte / 256,
    FP64: (byte) => byte / 256,
    // The bits of one half and a little more.
    FP16: (byte) => 0x3800 + byte,
  };
  const valueOf = of[datatype] ?? ((byte: number) => byte & 1);
  return (Elements as typeof Float32Array).from(noise, valueOf);
}
