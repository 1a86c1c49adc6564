/**
 * The program `tensors`: named tensors in, one run of a graph that is somebody else's, named tensors out. Nearly all of this
 * manifest is read from the graph (complete-tensors.ts); a folder says a few lines of it, or has no `millrace.json` at all.
 */
import {
  type ModelTensor,
  type TensorDatatype,
  tensorDatatypes,
  tensorLimits,
} from "millrace-client/wire";
import { z } from "zod";
import type { ManifestBase } from "../manifest-base.js";
import { baseFields, fileName, size, taskName, wrongManifest } from "../manifest-fields.js";
import type { ProgramDefinition } from "../manifest-staged.js";
import { tensorsSampler } from "./sampled-tensors.js";

export interface TensorsManifest extends ManifestBase {
  readonly engine: "staged";
  readonly program: "tensors";
  readonly files: {
    readonly graph: string;
    /** Files that hold its weights, where these are not in it. */
    readonly data: readonly string[];
  };
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly inputs: readonly DeclaredTensor[];
  readonly outputs: readonly DeclaredTensor[];
  /**
   * The first axis. `free`: of any size, and each row's result is its own, so that rows of several callers share a run; the
   * graph only says that it may be so, and then whoever loads it tries it. `fixed`: of one size. `none`: neither.
   */
  readonly batch: BatchAxis;
  /** Whether the folder says so itself: then it is not tried. */
  readonly batchDeclared: boolean;
  /** What the first run before all others takes for sizes that have a name; 1 where nothing is said. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly limits: {
    /** Rows of one run; null: as many as the server's option allows. */
    readonly rowsMax: number | null;
  };
}

const batchAxes = ["free", "fixed", "none"] as const;
export type BatchAxis = (typeof batchAxes)[number];

export interface DeclaredTensor {
  readonly name: string;
  readonly datatype: TensorDatatype;
  /** A text is a size that is not fixed, by its name in the graph if it has one. Null: not even the rank is known. */
  readonly shape: readonly (number | string)[] | null;
}

const entry: z.ZodType<DeclaredTensor> = z.object({
  name: z.string().min(1).max(tensorLimits.nameCharactersMax),
  datatype: z.enum(tensorDatatypes),
  shape: z
    .array(z.union([z.int().nonnegative(), z.string()]))
    .max(tensorLimits.dimensionsMax)
    .nullable(),
});

/** What a folder may say by itself; the rest is the graph's to say. */
export const declaredFields: {
  readonly [Field in "batch" | "sizes" | "limits"]: z.ZodType<TensorsManifest[Field]>;
} = {
  batch: z.enum(batchAxes),
  sizes: z.record(z.string(), size.max(1_000_000)),
  limits: z.object({ rowsMax: size.max(4_096).nullable() }),
};

const schema: z.ZodType<TensorsManifest> = z.object({
  ...baseFields,
  ...declaredFields,
  engine: z.literal("staged"),
  program: z.literal("tensors"),
  task: taskName,
  files: z.object({ graph: fileName, data: z.array(fileName) }),
  opsets: z.array(z.object({ domain: z.string(), version: z.int().nonnegative() })),
  inputs: z.array(entry).max(tensorLimits.tensorsMax),
  outputs: z.array(entry).min(1).max(tensorLimits.tensorsMax),
  batchDeclared: z.boolean(),
});

export const tensors: ProgramDefinition<TensorsManifest> = {
  sharesWeights: true,
  schema,
  check,
  settings: () => ({}),
  sampler: tensorsSampler,
  unit: () => null,
  info: ({ inputs, outputs, limits }) => ({
    limits: limits.rowsMax === null ? {} : { rowsMax: limits.rowsMax },
    inputs: inputs.map(infoOf),
    outputs: outputs.map(infoOf),
  }),
  facts: ({ inputs, outputs, batch, batchDeclared, opsets }) => [
    ...inputs.map((input) => ["input", entryText(input)] as const),
    ...outputs.map((output) => ["output", entryText(output)] as const),
    ["first axis", `${batchText[batch]}, ${batchDeclared ? "as declared" : "by the graph"}`],
    ["opsets", opsets.map(({ domain, version }) => `${domain || "ai.onnx"} ${version}`).join(", ")],
  ],
};

const batchText: Readonly<Record<BatchAxis, string>> = {
  free: "of any size; rows of several callers share a run where a probe at load shows that they may",
  fixed: "of one size: one request a run",
  none: "not one of rows: one request a run",
};

/** A shape of which nothing is known is told as one axis of any size: the protocol has no word for it. */
function infoOf({ name, datatype, shape }: DeclaredTensor): ModelTensor {
  const sizes = shape?.map((axis) => (typeof axis === "number" ? axis : -1));
  return { name, datatype, shape: sizes ?? [-1] };
}

function entryText({ name, datatype, shape }: DeclaredTensor): string {
  const axes = shape?.map((axis) => (axis === "" ? "?" : String(axis)));
  return `${name} ${datatype} ${axes === undefined ? "of any shape" : `[${axes.join(", ")}]`}`;
}

/** What no single field can show. */
function check({ inputs, outputs, batch }: TensorsManifest): void {
  for (const [what, list] of Object.entries({ inputs, outputs })) {
    const names = new Set<string>();
    for (const { name } of list) {
      if (names.has(name)) throw wrongManifest(`two ${what} of the name ${JSON.stringify(name)}`);
      names.add(name);
    }
  }
  if (batch !== "free") return;
  if (inputs.length === 0) throw wrongManifest("batch is free, and there is no input with rows");
  const bad = [...inputs, ...outputs].find(
    ({ shape }) => shape?.length === 0 || typeof shape?.[0] === "number",
  );
  if (bad !== undefined) {
    throw wrongManifest(
      `batch is free, but ${JSON.stringify(bad.name)} has no first axis of any size`,
    );
  }
}
