/**
 * The configuration file: which version of its format it has, and what older ones called things. A file of an older version is
 * read as what it would be now; `millrace config migrate` writes that.
 */
import { readFileSync } from "node:fs";
import { readProblem } from "../work/file-problem.js";
import { messageOf } from "../work/thrown.js";
import { plainJson } from "./json-comments.js";

/** The key that says which version a file has; one without it was written before there was any, which is version 0. */
export const configVersionKey = "configVersion";

/** What this Millrace writes, and reads without changing anything. */
export const configVersion = 1;

/** Of the version in this place to the next one: former key → key. What a released version has stays here for good. */
const renames: readonly ReadonlyMap<string, string>[] = [
  new Map([
    ["batchPipelines", "bulkPipelines"],
    ["requestItemsMax", "requestInputsMax"],
    ["itemCharactersMax", "inputCharactersMax"],
  ]),
];

/** Of what reads a value some go down by calls, and a stack has an end. */
const nestingMax = 32;

export interface ConfigFile {
  /** As the file has it; 0 where it says none. */
  readonly version: number;
  /** By their keys in that version, without the version itself. */
  readonly values: Readonly<Record<string, unknown>>;
}

export type ReadConfig = ConfigFile | { readonly problem: string };

export function readConfigurationFile(path: string): ReadConfig {
  try {
    return readConfigurationText(path, configurationTextOf(readFileSync(path)));
  } catch (error) {
    return { problem: `${path}: ${readProblem(error)}` };
  }
}

/** Without the mark that some editors put before all else. @throws where it is no UTF-8, of which half would be other words */
export function configurationTextOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Error("it is no UTF-8: write it anew in that coding", { cause });
  }
}

/** The same of its text; `path` is for what is told. */
export function readConfigurationText(path: string, text: string): ReadConfig {
  const parsed = parse(text);
  if ("problem" in parsed) return { problem: `${path}: ${parsed.problem}` };
  const { [configVersionKey]: version = 0, ...others } = parsed.value;
  if (typeof version !== "number" || !Number.isSafeInteger(version) || version < 0) {
    return { problem: `${configVersionKey} in ${path}: ${JSON.stringify(version)} is no version` };
  }
  if (version > configVersion) {
    // Its other keys may mean what nobody here knows: nothing else is said of them.
    const reads = `this Millrace reads ${configVersion} and older`;
    const cure =
      "serve it with the Millrace that wrote it, or take the file from before the upgrade";
    return { problem: `${configVersionKey} in ${path} is ${version}, ${reads}: ${cure}` };
  }
  // Zero may be written as -0.
  return { version: Math.abs(version), values: others };
}

/** What a key of a file of that version is called today; a key that was never renamed is itself. */
export function currentKeyOf(key: string, version: number): string {
  return renames.slice(version).reduce((name, renamed) => renamed.get(name) ?? name, key);
}

type Parsed = { readonly value: Readonly<Record<string, unknown>> } | { readonly problem: string };

function parse(text: string): Parsed {
  try {
    const value: unknown = JSON.parse(plainJson(text));
    if (isNestedDeeper(value, nestingMax)) {
      return { problem: `no option has values nested more than ${nestingMax} deep` };
    }
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { value: { ...value } };
    }
    return { problem: "a configuration is one JSON object of option keys" };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

function isNestedDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isNestedDeeper(each, levels - 1));
}
