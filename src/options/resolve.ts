/**
 * Sources → one frozen configuration. A flag wins over a variable, a variable over the file, the file over the
 * default. Everything that is wrong is reported at once, each with the place where it was written.
 */
import { createHash } from "node:crypto";
import { dirname, resolve as resolvePath } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { didYouMean } from "../near-miss.js";
import {
  type ConfigFile,
  configVersion,
  configVersionKey,
  currentKeyOf,
  readConfigurationFile,
} from "./config-file.js";
import { contradictions, warningsOf } from "./contradictions.js";
import type { AnyOptionDefinition } from "./definition.js";
import { durationMs, durationText } from "./duration.js";
import { findMachine, type Layout, type Machine } from "./machine.js";
import type { OptionKey, Options } from "./options.js";
import {
  flagOf,
  formerKeys,
  isOptionKey,
  optionKeys,
  optionSections,
  optionTable,
  variableOf,
} from "./table.js";

export type OptionSource = "flag" | "variable" | "file" | "code" | "measured" | "default";

export interface Configuration {
  readonly options: Options;
  readonly sources: Readonly<Record<OptionKey, OptionSource>>;
  /** Eight hexadecimal digits over the options that are `hashed`. */
  readonly hash: string;
  /** What the defaults were computed from. */
  readonly machine: Machine;
  /** In words, what `measured` values come from; null where none is. */
  readonly measured: string | null;
  /** What works and should be known: former names, limits beyond the machine's. One line each. */
  readonly warnings: readonly string[];
}

export interface ConfigurationInput {
  /** By key; strings as they stood on the command line. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Variables beside those that begin with MILLRACE_ are ignored. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** Path of a JSON file of option keys, which may have comments. */
  readonly file?: string;
  /** By key; from `createServer({ … })`. */
  readonly code?: Readonly<Record<string, unknown>>;
  readonly machine?: Machine;
}

/** Variables with our prefix that are not options. */
const otherVariables = ["MILLRACE_CONFIG", "MILLRACE_KEY", "MILLRACE_URL"] as const;

/** Kubernetes sets these in every container beside a service that is called `millrace`. */
const serviceLinks = /^MILLRACE_(?:SERVICE_|PORT_\d)/;

/** @throws MillraceError `option_invalid`; its message has one line for each thing that is wrong. */
export function resolveConfiguration(input: ConfigurationInput): Configuration {
  const problems: string[] = [];
  const warnings: string[] = [];
  const given = gather(input, problems, warnings);
  const machine = input.machine ?? findMachine();
  const layout = layoutOf(given);
  const values: Partial<Record<OptionKey, OptionValue | null>> = {};
  const sources: Partial<Record<OptionKey, OptionSource>> = {};
  for (const key of optionKeys) {
    const definition: AnyOptionDefinition = optionTable[key];
    values[key] =
      given.get(key)?.value ??
      ("value" in definition.default
        ? definition.default.value
        : definition.default.of(machine, layout));
    sources[key] = given.get(key)?.source ?? "default";
  }
  // The mapped type of the table ties each key to its type, and `readValue` held each value to the table.
  const options = Object.freeze(values as unknown as Options);
  const placeOf = (key: OptionKey): string => given.get(key)?.place ?? flagOf(key);
  problems.push(...contradictions(options, placeOf));
  if (problems.length > 0) throw new MillraceError("option_invalid", problems.join("\n"));
  return Object.freeze({
    options,
    sources: Object.freeze(sources as Record<OptionKey, OptionSource>),
    hash: hashOf(options),
    machine,
    measured: null,
    warnings: Object.freeze([...warnings, ...warningsOf(options, machine, placeOf)]),
  });
}

/** Pipelines and threads that were measured, where the defaults stood. */
export function withMeasured(
  configuration: Configuration,
  layout: Pick<Options, "pipelines" | "threads">,
  measured: string,
): Configuration {
  const { pipelines, threads } = layout;
  const options = Object.freeze({ ...configuration.options, pipelines, threads });
  const sources = { ...configuration.sources, pipelines: "measured", threads: "measured" } as const;
  return Object.freeze({
    ...configuration,
    options,
    sources: Object.freeze(sources),
    hash: hashOf(options),
    measured,
  });
}

type OptionValue = string | number | boolean;

interface Given {
  readonly value: OptionValue;
  readonly source: OptionSource;
  /** As the one who wrote it calls it: `--port`, `MILLRACE_PORT`, `port in FILE`. */
  readonly place: string;
}

/** Weakest source first, so that a stronger one overwrites it; a bad value is a problem even when overwritten. */
function gather(
  input: ConfigurationInput,
  problems: string[],
  warnings: string[],
): Map<OptionKey, Given> {
  const given = new Map<OptionKey, Given>();
  const take = (name: string, raw: unknown, from: SourceNaming): void => {
    const key = from.keyOf(name);
    if (key === null) {
      problems.push(`${from.place(name)}: there is no such option${from.hint(name)}`);
      return;
    }
    const currentName = from.nameOf(key);
    if (name !== currentName) {
      warnings.push(`${from.place(name)} is now ${from.place(currentName)}; ${from.onFormer}`);
    }
    // Between two sources the stronger one wins, as always; within one nobody can say which was meant.
    const other = given.get(key);
    if (other?.source === from.source) {
      problems.push(
        `${other.place} and ${from.place(name)} contradict each other: they are the same option`,
      );
    }
    const read = readValue(optionTable[key], raw, from.baseDir);
    if ("problem" in read) problems.push(`${from.place(name)}: ${read.problem}`);
    else given.set(key, { value: read.value, source: from.source, place: from.place(name) });
  };
  if (input.file !== undefined) {
    const file = readConfigurationFile(input.file);
    if ("problem" in file) problems.push(file.problem);
    else {
      const from = byFile(input.file, file);
      for (const [name, raw] of Object.entries(file.values).flatMap(unfolded))
        take(name, raw, from);
    }
  }
  for (const [name, raw] of Object.entries(input.variables ?? {})) {
    if (raw !== undefined && isOurs(name)) take(name, raw, byVariable);
  }
  const byCode = byKey("code", (key) => key);
  for (const [name, raw] of Object.entries(input.code ?? {})) {
    if (raw !== undefined) take(name, raw, byCode);
  }
  const isKnown = (key: string): boolean => isOptionKey(key) || formerKeys.has(key);
  const byFlag = byKey("flag", (key) => (isKnown(key) ? flagOf(key) : key));
  for (const [name, raw] of Object.entries(input.flags ?? {})) {
    if (raw !== undefined) take(name, raw, byFlag);
  }
  return given;
}

/** A section's entries by their keys; inside it the names of the program that is replaced are known too: `max_seq_len`. */
function unfolded([name, raw]: readonly [string, unknown]): (readonly [string, unknown])[] {
  const isSection = optionSections.some((each) => each === name);
  if (!isSection || typeof raw !== "object" || raw === null) return [[name, raw]];
  return Object.entries(raw).map(([inner, value]) => {
    const words = inner.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    return [`${name}${words.charAt(0).toUpperCase()}${words.slice(1)}`, value] as const;
  });
}

interface SourceNaming {
  readonly source: OptionSource;
  /** Relative paths are meant from here. */
  readonly baseDir: string;
  /** Of a name or a former name. */
  keyOf(name: string): OptionKey | null;
  nameOf(key: OptionKey): string;
  place(name: string): string;
  /** What may have been meant by a name that is none; it may be empty. */
  hint(name: string): string;
  /** What becomes of a former name. */
  readonly onFormer: string;
}

const onFormer = "the former name answers for this release only";

function byFile(path: string, { version }: ConfigFile): SourceNaming {
  const known = [...optionKeys, configVersionKey];
  const keyOf = (name: string): OptionKey | null => {
    const key = currentKeyOf(name, version);
    return isOptionKey(key) ? key : null;
  };
  const hint = (name: string): string => {
    const renamed = currentKeyOf(name, 0);
    if (renamed === name) return didYouMean(name, known);
    return ` (in version ${configVersion} it is \`${renamed}\`)`;
  };
  return {
    source: "file",
    baseDir: dirname(resolvePath(path)),
    keyOf,
    nameOf: (key) => key,
    place: (name) => `${name} in ${path}`,
    hint,
    onFormer: `\`millrace config migrate ${path}\` writes the new name`,
  };
}

/** Flags and code, by the option's key. */
function byKey(source: OptionSource, place: (key: string) => string): SourceNaming {
  const keyOf = (name: string): OptionKey | null =>
    isOptionKey(name) ? name : (formerKeys.get(name) ?? null);
  const hint = (name: string): string => didYouMean(name, optionKeys);
  const baseDir = process.cwd();
  return { source, baseDir, keyOf, nameOf: (key) => key, place, hint, onFormer };
}

const byVariableName: ReadonlyMap<string, OptionKey> = new Map([
  ...optionKeys.map((key) => [variableOf(key), key] as const),
  ...[...formerKeys].map(([former, key]) => [variableOf(former), key] as const),
]);

const byVariable: SourceNaming = {
  source: "variable",
  baseDir: process.cwd(),
  keyOf: (name) => byVariableName.get(name) ?? null,
  nameOf: variableOf,
  place: (name) => name,
  hint: (name) => didYouMean(name, optionKeys.map(variableOf)),
  onFormer,
};

function isOurs(name: string): boolean {
  if (!name.startsWith("MILLRACE_") || serviceLinks.test(name)) return false;
  return !otherVariables.some((other) => other === name);
}

type Read = { readonly value: OptionValue } | { readonly problem: string };

function readValue(definition: AnyOptionDefinition, raw: unknown, baseDir: string): Read {
  if (definition.type === "integer") return readInteger(definition, raw);
  if (definition.type === "flag") return readFlag(raw);
  if (definition.type === "ratio") return readRatio(raw);
  if (definition.type === "duration") return readDuration(definition, raw);
  if (typeof raw !== "string" || raw === "") return { problem: `${show(raw)} is not a text` };
  switch (definition.type) {
    case "choice": {
      if (definition.choices.includes(raw)) return { value: raw };
      const near = didYouMean(raw, definition.choices.map(String));
      return { problem: `${show(raw)} is none of ${definition.choices.join(", ")}${near}` };
    }
    case "name":
      if (/^[A-Za-z0-9._-]{1,64}$/.test(raw)) return { value: raw };
      return {
        problem: `${show(raw)} is not 1 to 64 letters, digits, dots, dashes or underscores`,
      };
    case "text":
      return { value: raw };
    case "path":
      return { value: resolvePath(baseDir, raw) };
  }
}

function readInteger(
  definition: Extract<AnyOptionDefinition, { readonly type: "integer" }>,
  raw: unknown,
): Read {
  if (raw === null && definition.none !== undefined) return { value: definition.none };
  if (definition.whyOne !== undefined) {
    const [first, ...others] = listOf(raw);
    if (others.length > 0) return { problem: `${show(raw)} is a list: ${definition.whyOne}` };
    if (first !== undefined && first !== raw) return readInteger(definition, first);
  }
  const value = typeof raw === "string" && /^-?\d{1,15}$/.test(raw) ? Number(raw) : raw;
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    return { problem: `${show(raw)} is not a whole number of ${definition.unit}` };
  }
  if (value < definition.min || value > definition.max) {
    return { problem: `${value} is not between ${definition.min} and ${definition.max}` };
  }
  return { value };
}

function readRatio(raw: unknown): Read {
  const value = typeof raw === "string" && /^[01]?\.?\d{1,9}$/.test(raw) ? Number(raw) : raw;
  if (typeof value === "number" && value >= 0 && value <= 1) return { value };
  return { problem: `${show(raw)} is no number from 0 to 1` };
}

function readDuration(
  { minMs, maxMs }: Extract<AnyOptionDefinition, { readonly type: "duration" }>,
  raw: unknown,
): Read {
  const value = durationMs(raw);
  if (value === null) return { problem: `${show(raw)} is no time, such as 30d, 12h, 90m or 45s` };
  if (value >= minMs && value <= maxMs) return { value };
  const range = `between ${durationText(minMs)} and ${durationText(maxMs)}`;
  return { problem: `${durationText(value)} is not ${range}` };
}

/** `[-2, -1]` in a file; with commas or spaces between on the command line. */
function listOf(raw: unknown): readonly unknown[] {
  if (Array.isArray(raw)) return raw;
  if (typeof raw !== "string") return [raw];
  return raw.split(/[[\],\s]+/).filter((part) => part !== "");
}

function readFlag(raw: unknown): Read {
  if (typeof raw === "boolean") return { value: raw };
  if (raw === "true" || raw === "1") return { value: true };
  if (raw === "false" || raw === "0") return { value: false };
  return { problem: `${show(raw)} is neither true nor false` };
}

function show(raw: unknown): string {
  const text = JSON.stringify(raw) ?? String(raw);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function layoutOf(given: ReadonlyMap<OptionKey, Given>): Layout {
  const count = (key: OptionKey): number | null => {
    const value = given.get(key)?.value;
    return typeof value === "number" ? value : null;
  };
  return {
    pipelines: count("pipelines"),
    realtimePipelines: count("realtimePipelines"),
    bulkPipelines: count("bulkPipelines"),
    threads: count("threads"),
  };
}

function hashOf(options: Options): string {
  const hashed = optionKeys.filter((key) => optionTable[key].hashed).sort();
  const text = JSON.stringify(hashed.map((key) => [key, options[key]]));
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
