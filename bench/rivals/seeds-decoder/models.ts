/** The models of both sides: Millrace's in int8 and in float32, and the rival's graph, all of one source. */
import { join, resolve } from "node:path";
import { convertFloat } from "../../convert-float.js";
import { convertMade } from "../../made-marian/convert-made.js";
import { marianShapes } from "../../made-marian/shapes.js";
import { writeMarian } from "../../made-marian/write-marian.js";
import { writeSeedsDecoder } from "./write-graph.js";

export const modelsUsage = `  --source DIR       Marian folder (default: a made one of the seeds' size, see make-model)
  --shape NAME       of the made one: ${Object.keys(marianShapes).join(" or ")} (default: base)
  --int8 DIR         Millrace folder of it in int8 (default: converted)
  --f32 DIR          Millrace folder of it in float32 (default: converted)`;

export const modelFlags = {
  source: { type: "string" },
  shape: { type: "string", default: "base" },
  int8: { type: "string" },
  f32: { type: "string" },
} as const;

/** The values of `modelFlags`. */
export interface ModelValues {
  readonly source?: string | undefined;
  readonly shape: string;
  readonly int8?: string | undefined;
  readonly f32?: string | undefined;
}

export interface Models {
  readonly int8: string;
  readonly f32: string;
  /** The rival's graph. */
  readonly decoder: string;
}

/** What has to be made is written into `dir`. */
export async function modelsOf(values: ModelValues, dir: string): Promise<Models> {
  const source = values.source ?? (await madeSource(values.shape, dir));
  const f32 = values.f32 ?? (await convertFloat(source, dir));
  const int8 = values.int8 ?? join(dir, "int8");
  if (values.int8 === undefined) await convertMade(source, { outDir: int8, precision: "int8" });
  return { int8: resolve(int8), f32: resolve(f32), decoder: await writeSeedsDecoder(dir, source) };
}

async function madeSource(name: string, dir: string): Promise<string> {
  const shape = marianShapes[name];
  if (shape === undefined) throw new Error(`no shape ${name}`);
  await writeMarian(join(dir, "marian"), shape, 1);
  return join(dir, "marian");
}
