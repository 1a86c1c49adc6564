/**
 * READ FIRST of a graph that is somebody else's: what `millrace.json` leaves out of the manifest of a plain ONNX file, or all
 * of it where there is none. Names, types, shapes and the files beside it are the graph's own.
 */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MillraceError, type TensorDatatype, tensorLimits } from "millrace-client/wire";
import { z } from "zod";
import { manifestVersion } from "../manifest-base.js";
import { baseFields, fileName, modelName, nameOfPath } from "../manifest-fields.js";
import { folderVersionOf } from "../model-versions.js";
import { onnxElementTypes } from "../onnx/element-types.js";
import { type GraphValue, readGraph } from "../onnx/read-graph.js";
import { checkShape, isMissing } from "../read-json.js";
import {
  type BatchAxis,
  type DeclaredTensor,
  declaredFields,
  type TensorsManifest,
} from "./manifest-tensors.js";

/** What it is for, as the API's route has it. */
const task = "infer";

const declared = z.strictObject({
  manifestVersion: z.literal(manifestVersion),
  name: modelName.exactOptional(),
  engine: z.literal("staged").exactOptional(),
  program: z.literal("tensors").exactOptional(),
  task: z.literal(task).exactOptional(),
  family: z.string().min(1).max(100).exactOptional(),
  /** The graph's file; needed where the folder has several. */
  graph: fileName.exactOptional(),
  batch: declaredFields.batch.exactOptional(),
  sizes: declaredFields.sizes.exactOptional(),
  limits: declaredFields.limits.exactOptional(),
  fileSha256: baseFields.fileSha256.exactOptional(),
});

/** Whether a `millrace.json` leaves the most to its graph: one that was converted names its engine, and what that needs. */
export function isDeclaration(value: unknown): boolean {
  const found = z
    .looseObject({
      manifestVersion: z.literal(manifestVersion),
      engine: z.literal("staged").optional(),
      program: z.literal("tensors").optional(),
      files: z.undefined().optional(),
    })
    .safeParse(value);
  return found.success && (found.data.engine === undefined || found.data.program !== undefined);
}

/** The whole manifest, still to be checked as any other. `path` is the declaration's file, for errors. */
export async function completeTensors(
  dir: string,
  {
    path,
    value,
    graphs,
  }: { readonly path: string; readonly value: unknown; readonly graphs: readonly string[] },
): Promise<TensorsManifest> {
  const says = checkShape(path, value, declared);
  const graph = says.graph ?? onlyGraph(dir, graphs);
  return {
    ...(await plainManifest(join(dir, graph), says.name ?? nameOfPath(ownName(dir), dir))),
    ...overrides(says),
  };
}

/** What is said of a graph that nothing was said of. */
export async function plainManifest(path: string, name: string): Promise<TensorsManifest> {
  const facts = await readGraph(path);
  const dir = dirname(path);
  for (const file of facts.dataFiles) await checkDataFile(dir, file, path);
  const inputs = facts.inputs.map((input) => entryOf(input, path));
  const outputs = facts.outputs.map((output) => entryOf(output, path));
  for (const output of outputs) checkOutputName(output, path);
  return {
    manifestVersion,
    name,
    task,
    engine: "staged",
    program: "tensors",
    family: "onnx",
    precision: "graph",
    quantization: null,
    // A graph of gigabytes is not read twice for a hash that nobody gave.
    fileSha256: {},
    files: { graph: basename(path), data: facts.dataFiles },
    opsets: facts.opsets,
    inputs,
    outputs,
    batch: batchOf(inputs, outputs),
    batchDeclared: false,
    sizes: {},
    limits: { rowsMax: null },
  };
}

/** Of the folder, or of the file where that lies among models and has a name of its own. */
export function plainName(path: string): string {
  const own = basename(path, graphEnding);
  return own === "model" ? ownName(dirname(path)) : own;
}

export const graphEnding = ".onnx";

/** In a folder of a version it has the name without it: that is added for all models alike. */
function ownName(dir: string): string {
  const name = folderName(dir);
  return folderVersionOf(name)?.name ?? name;
}

function folderName(dir: string): string {
  return basename(dir);
}

function onlyGraph(dir: string, graphs: readonly string[]): string {
  const [only, ...others] = graphs;
  if (only !== undefined && others.length === 0) return only;
  const what =
    only === undefined ? "no .onnx file" : `${graphs.length} .onnx files, and \`graph\` names none`;
  throw new MillraceError("model_folder_invalid", `${dir} has ${what}`);
}

type Declared = z.infer<typeof declared>;

function overrides({
  batch,
  family,
  sizes,
  limits,
  fileSha256,
}: Declared): Partial<TensorsManifest> {
  return {
    ...(batch === undefined ? {} : { batch, batchDeclared: true }),
    ...(family === undefined ? {} : { family }),
    ...(sizes === undefined ? {} : { sizes }),
    ...(limits === undefined ? {} : { limits }),
    ...(fileSha256 === undefined ? {} : { fileSha256 }),
  };
}

/** Weights lie in the folder itself: a graph cannot reach outside of it. */
export async function checkDataFile(dir: string, file: string, graph: string): Promise<void> {
  if (!fileName.safeParse(file).success) {
    const message = `${graph} has weights in ${JSON.stringify(file)}, which is no file of its folder`;
    throw new MillraceError("model_folder_invalid", message);
  }
  try {
    if ((await stat(join(dir, file))).isFile()) return;
  } catch (cause) {
    const what = isMissing(cause) ? "is missing" : "cannot be looked at";
    const message = `${join(dir, file)}, which holds weights of ${basename(graph)}, ${what}`;
    throw new MillraceError("model_folder_invalid", message, { cause });
  }
  throw new MillraceError("model_folder_invalid", `${join(dir, file)} is not a file`);
}

/** Those that callers can send, in JSON too, by ONNX's number. */
const datatypes: ReadonlyMap<number, TensorDatatype> = new Map(
  (Object.keys(onnxElementTypes) as TensorDatatype[])
    .filter((datatype) => datatype !== "BF16")
    .map((datatype) => [onnxElementTypes[datatype], datatype]),
);

const otherTypes: Readonly<Record<number, string>> = {
  0: "a tensor of a type that the graph does not say",
  14: "a tensor of complex64",
  15: "a tensor of complex128",
  16: "a tensor of bfloat16",
  21: "a tensor of uint4",
  22: "a tensor of int4",
};

function entryOf({ name, elementType, shape }: GraphValue, path: string): DeclaredTensor {
  const refuse = (what: string): never => {
    const tensor = `its tensor ${JSON.stringify(name.slice(0, tensorLimits.nameCharactersMax))}`;
    throw new MillraceError("model_folder_invalid", `${path}: ${tensor} ${what}`);
  };
  if (elementType === null)
    return refuse("is no tensor, but a sequence, a map or an optional value");
  const datatype = datatypes.get(elementType);
  if (datatype === undefined) {
    return refuse(
      `is ${otherTypes[elementType] ?? `a tensor of ONNX's type ${elementType}`}, which is not served`,
    );
  }
  if (name === "" || name.length > tensorLimits.nameCharactersMax)
    return refuse("has no name, or a very long one");
  if (shape !== null && shape.length > tensorLimits.dimensionsMax) {
    return refuse(`has ${shape.length} axes; at most ${tensorLimits.dimensionsMax} are taken`);
  }
  return { name, datatype, shape };
}

/** ONNX Runtime's binding asks plain objects which outputs are wanted, and those have some names by themselves. */
function checkOutputName({ name }: DeclaredTensor, path: string): void {
  if (!(name in {})) return;
  const message = `${path}: its output ${JSON.stringify(name)} has a name that ONNX Runtime's binding cannot give`;
  throw new MillraceError("model_folder_invalid", message);
}

/** `free` where nothing speaks against it: exporters name first axes as they like, and a probe at load will show. */
function batchOf(inputs: readonly DeclaredTensor[], outputs: readonly DeclaredTensor[]): BatchAxis {
  if (inputs.length === 0) return "none";
  const firsts = inputs.map(({ shape }) => shape?.[0]);
  const isOpen = ({ shape }: DeclaredTensor): boolean => typeof shape?.[0] === "string";
  if (inputs.every(isOpen) && outputs.every((output) => output.shape === null || isOpen(output)))
    return "free";
  return firsts.every((first) => typeof first === "number" && first === firsts[0])
    ? "fixed"
    : "none";
}
