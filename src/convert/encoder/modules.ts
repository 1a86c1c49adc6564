/**
 * What sentence-transformers keeps beside a model: modules.json lists a chain, a Transformer first, then a Pooling, and perhaps
 * Dense and Normalize behind it. Each has a folder with a config.json of its own.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import type { EncoderPooling } from "../../work/encoding.js";
import type { Activation } from "../activations.js";
import { unsupported } from "./config.js";

export interface Modules {
  /** Where config.json, the tokenizer and the weights are. */
  readonly baseDir: string;
  /** Whether a Pooling follows: then the folder is for embeddings, whatever head its weights have. */
  readonly pools: boolean;
  /** What follows the Transformer, in order. */
  readonly rest: readonly Module[];
  /** Of sentence_bert_config.json; null where it says nothing. */
  readonly tokensMax: number | null;
  readonly lowerCase: boolean;
}

interface Module {
  readonly kind: "Pooling" | "Dense" | "Normalize" | "Dropout";
  readonly dir: string;
  /** For messages. */
  readonly path: string;
}

/** The folder's own vectors, from what the graph pools to what the task gets. */
export interface OwnVectors {
  /** `mean-sqrt`: the sum over the square root of the number of tokens. */
  readonly start: "pooled" | "max" | "max-mean" | "mean-max" | "mean-sqrt";
  readonly steps: readonly OwnStep[];
}

export type OwnStep = { readonly kind: "normalize" } | DenseStep;

export interface DenseStep {
  readonly kind: "dense";
  readonly name: string;
  /** Where its weights are. */
  readonly dir: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
  readonly activation: Activation;
}

const size = z.int().positive().max(1_000_000);
const modulesMax = 100;

const modulesSchema = z
  .array(z.looseObject({ path: z.string(), type: z.string() }))
  .min(1)
  .max(modulesMax);

const transformerSchema = z.looseObject({
  max_seq_length: z.int().positive().nullish(),
  do_lower_case: z.boolean().nullish(),
});

/** Of a Transformer: the last ones were written by the first versions, each for one family. */
const transformerFiles: readonly string[] = [
  "sentence_bert_config.json",
  ...["roberta", "distilbert", "xlm-roberta", "camembert"].map(
    (family) => `sentence_${family}_config.json`,
  ),
];

const promptsSchema = z.looseObject({
  prompts: z.record(z.string(), z.string()).nullish(),
  default_prompt_name: z.string().nullish(),
});

const poolingSchema = z.looseObject({
  pooling_mode: z.union([z.string(), z.array(z.string())]).nullish(),
  pooling_mode_cls_token: z.boolean().nullish(),
  pooling_mode_max_tokens: z.boolean().nullish(),
  pooling_mode_mean_tokens: z.boolean().nullish(),
  pooling_mode_mean_sqrt_len_tokens: z.boolean().nullish(),
  pooling_mode_weightedmean_tokens: z.boolean().nullish(),
  pooling_mode_lasttoken: z.boolean().nullish(),
});

const denseSchema = z.looseObject({
  in_features: size,
  out_features: size,
  bias: z.boolean().default(true),
  activation_function: z.string().default("torch.nn.modules.activation.Tanh"),
  module_input_name: z.string().nullish(),
  module_output_name: z.string().nullish(),
});

/** Where config.json is: often in the folder itself. Throws as `readModules` does. */
export async function readBaseDir(modelDir: string): Promise<string> {
  return existsSync(join(modelDir, listName)) ? (await readList(modelDir)).baseDir : modelDir;
}

/** Throws `model_folder_invalid` or `model_unsupported`. A folder without modules.json is a Transformer alone. */
export async function readModules(modelDir: string): Promise<Modules> {
  if (!existsSync(join(modelDir, listName))) {
    return { baseDir: modelDir, pools: false, rest: [], ...(await readTransformer(modelDir)) };
  }
  await refusePrompt(modelDir);
  const { baseDir, rest } = await readList(modelDir);
  const pools = rest.some(({ kind }) => kind === "Pooling");
  return { baseDir, pools, rest, ...(await readTransformer(baseDir)) };
}

const listName = "modules.json";

async function readList(modelDir: string): Promise<Pick<Modules, "baseDir" | "rest">> {
  const path = join(modelDir, listName);
  const [first, ...rest] = checkShape(path, await readJsonFile(path), modulesSchema).map(
    (each) => ({
      type: classOf(each.type),
      path: each.path,
      dir: join(modelDir, insidePath(each.path)),
    }),
  );
  if (first?.type !== "Transformer") {
    throw unsupported(`${first?.type ?? "nothing"} as its first module; known is Transformer`);
  }
  const modules = rest.map((each): Module => ({ ...each, kind: knownKind(each.type) }));
  return { baseDir: first.dir, rest: modules };
}

/** `sentence_transformers.models.Pooling`, and whatever package newer versions keep it in. */
function classOf(type: string): string {
  if (!/^sentence_transformers(?:\.\w+)+$/.test(type)) {
    throw unsupported(`the module ${JSON.stringify(type.slice(0, 80))}, which has code of its own`);
  }
  return type.slice(type.lastIndexOf(".") + 1);
}

function knownKind(type: string): Module["kind"] {
  switch (type) {
    case "Pooling":
    case "Dense":
    case "Normalize":
    case "Dropout":
      return type;
    default:
      throw unsupported(`the module ${type}; known are Transformer, Pooling, Dense, Normalize`);
  }
}

/** A list from a stranger reaches nothing outside of its folder. */
function insidePath(path: string): string {
  if (path === "" || /^(?!\.)[\w. -]+(?:\/(?!\.)[\w. -]+)*\/?$/.test(path)) return path;
  const shown = JSON.stringify(path.slice(0, 80));
  const message = `modules.json: the path ${shown} is no plain path in the folder`;
  throw new MillraceError("model_folder_invalid", message);
}

async function readTransformer(dir: string): Promise<Pick<Modules, "tokensMax" | "lowerCase">> {
  const path = transformerFiles.map((name) => join(dir, name)).find((each) => existsSync(each));
  if (path === undefined) return { tokensMax: null, lowerCase: false };
  const raw = checkShape(path, await readJsonFile(path), transformerSchema);
  return { tokensMax: raw.max_seq_length ?? null, lowerCase: raw.do_lower_case ?? false };
}

/** A prompt that sentence-transformers would put in front of every text. */
async function refusePrompt(modelDir: string): Promise<void> {
  const path = join(modelDir, "config_sentence_transformers.json");
  if (!existsSync(path)) return;
  const { prompts, default_prompt_name: name } = checkShape(
    path,
    await readJsonFile(path),
    promptsSchema,
  );
  const prompt = name == null ? undefined : new Map(Object.entries(prompts ?? {})).get(name);
  if (prompt === undefined || prompt === "") return;
  const what = `the prompt ${JSON.stringify(prompt.slice(0, 80))} in front of every text`;
  const cure = "take default_prompt_name out, and let callers send it";
  throw unsupported(`${what} (config_sentence_transformers.json), which Millrace lacks; ${cure}`);
}

/** What follows the last layer; mean where the folder says nothing. `width` is that of the hidden state. */
export async function readOwnVectors(
  { rest }: Modules,
  width: number,
): Promise<{
  readonly pooling: EncoderPooling;
  readonly own: OwnVectors | null;
  readonly normalize: boolean;
  readonly width: number;
}> {
  const [first, ...others] = rest.filter(({ kind }) => kind !== "Dropout");
  if (first === undefined) return { pooling: "mean", own: null, normalize: false, width };
  if (first.kind !== "Pooling") throw unsupported(`the module ${first.kind} before its Pooling`);
  const { pooling, start } = await readPooling(first);
  const steps: OwnStep[] = [];
  let found = start === "max-mean" || start === "mean-max" ? 2 * width : width;
  for (const module of others) {
    if (module.kind === "Pooling") throw unsupported("a second Pooling");
    const step = await readStep(module, found);
    steps.push(step);
    if (step.kind === "dense") found = step.outputs;
  }
  const normalize = steps.at(-1)?.kind === "normalize";
  const inside = normalize ? steps.slice(0, -1) : steps;
  const plain = inside.length === 0 && (start === "pooled" || start === "max");
  return { pooling, own: plain ? null : { start, steps: inside }, normalize, width: found };
}

/** sentence-transformers' names, in the order in which it puts their vectors side by side where a folder has flags for them. */
const modes: readonly {
  readonly name: string;
  readonly key: keyof z.infer<typeof poolingSchema>;
}[] = [
  { name: "cls", key: "pooling_mode_cls_token" },
  { name: "max", key: "pooling_mode_max_tokens" },
  { name: "mean", key: "pooling_mode_mean_tokens" },
  { name: "mean_sqrt_len_tokens", key: "pooling_mode_mean_sqrt_len_tokens" },
  { name: "weightedmean", key: "pooling_mode_weightedmean_tokens" },
  { name: "lasttoken", key: "pooling_mode_lasttoken" },
];

const poolings: ReadonlyMap<
  string,
  { readonly pooling: EncoderPooling; readonly start: OwnVectors["start"] }
> = new Map([
  ["cls", { pooling: "cls", start: "pooled" }],
  ["mean", { pooling: "mean", start: "pooled" }],
  ["max", { pooling: "max", start: "max" }],
  // The other way round than callers' `mean-max` has them. A list has an order of its own.
  ["max+mean", { pooling: "mean-max", start: "max-mean" }],
  ["mean+max", { pooling: "mean-max", start: "mean-max" }],
  ["mean_sqrt_len_tokens", { pooling: "mean", start: "mean-sqrt" }],
] as const);

async function readPooling({ dir, path: name }: Module) {
  const path = join(dir, "config.json");
  const raw = checkShape(path, await readJsonFile(path), poolingSchema);
  const listed = raw.pooling_mode == null ? null : [raw.pooling_mode].flat();
  const wanted = listed ?? modes.filter(({ key }) => raw[key] === true).map((mode) => mode.name);
  const known = wanted.join("+");
  const found = poolings.get(known);
  if (found !== undefined) return found;
  const modesText = wanted.length === 0 ? "none" : known.slice(0, 80);
  throw unsupported(
    `the pooling ${modesText} (${name}); known are ${[...poolings.keys()].join(", ")}`,
  );
}

/** By the last part of PyTorch's names. */
const denseActivations: ReadonlyMap<string, Activation> = new Map([
  ["torch.nn.modules.activation.Tanh", "tanh"],
  ["torch.nn.modules.linear.Identity", "identity"],
  ["torch.nn.modules.activation.ReLU", "relu"],
  ["torch.nn.modules.activation.GELU", "gelu"],
  ["torch.nn.modules.activation.SiLU", "silu"],
  ["torch.nn.modules.activation.Sigmoid", "sigmoid"],
] as const);

async function readStep({ kind, dir, path: name }: Module, width: number): Promise<OwnStep> {
  if (kind === "Normalize") return { kind: "normalize" };
  const path = join(dir, "config.json");
  const raw = checkShape(path, await readJsonFile(path), denseSchema);
  for (const end of [raw.module_input_name, raw.module_output_name]) {
    if (end == null || end === "sentence_embedding") continue;
    throw unsupported(
      `a Dense of ${JSON.stringify(end.slice(0, 80))} (${name}), not of the pooled vector`,
    );
  }
  if (raw.in_features !== width) {
    const message = `${name}: in_features ${raw.in_features}, where ${width} come in`;
    throw new MillraceError("model_folder_invalid", message);
  }
  const activation = denseActivations.get(raw.activation_function);
  if (activation === undefined) {
    const known = [...denseActivations.keys()].join(", ");
    const found = JSON.stringify(raw.activation_function.slice(0, 80));
    throw unsupported(`activation_function ${found} (${name}); known are ${known}`);
  }
  return {
    kind: "dense",
    name: `dense.${name.replaceAll("/", "_")}`,
    dir,
    inputs: width,
    outputs: raw.out_features,
    bias: raw.bias,
    activation,
  };
}
