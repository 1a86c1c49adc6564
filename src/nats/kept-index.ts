/**
 * What the store of models said last, on disk. A store that was lost and made again, empty or with less in it, does not take away what it
 * does not know of: that is `lost`, and is served until the store has it again or its files are gone.
 */
import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { move } from "../platform/move.js";
import type { ModelListing } from "./model-bucket.js";
import { fullName, type ModelRecord, parseRecord } from "./model-record.js";

export interface KeptIndex {
  /** Of the store; another one was made anew. Empty: there was none. */
  readonly madeAt: string;
  readonly records: readonly ModelRecord[];
  readonly lost: readonly ModelRecord[];
  readonly defaults: Readonly<Record<string, string>>;
}

const fileName = "index.json";

export function merged(
  before: KeptIndex | null,
  { madeAt, listing }: { readonly madeAt: string; readonly listing: ModelListing },
): KeptIndex {
  const { records, defaults: said } = listing;
  const isNew = before !== null && before.madeAt !== "" && before.madeAt !== madeAt;
  const old = isNew ? [...before.records, ...before.lost] : (before?.lost ?? []);
  const known = new Set(records.map(fullName));
  const lost = old.filter((record) => !known.has(fullName(record)));
  const defaults: Record<string, string> = {};
  for (const { name } of lost) {
    const version = before?.defaults[name];
    if (version !== undefined) defaults[name] = version;
  }
  return { madeAt, records, lost, defaults: { ...defaults, ...Object.fromEntries(said) } };
}

const schema = z.object({
  madeAt: z.string(),
  records: z.array(z.looseObject({ name: z.string(), version: z.string() })),
  lost: z.array(z.looseObject({ name: z.string(), version: z.string() })),
  defaults: z.record(z.string(), z.string()),
});

/** Null: there is none, or none that can be read; the store says it again. */
export async function readIndex(dir: string): Promise<KeptIndex | null> {
  try {
    const read = schema.parse(JSON.parse(await readFile(join(dir, fileName), "utf8")));
    const parse = (each: { readonly name: string; readonly version: string }): ModelRecord =>
      parseRecord(each, JSON.stringify(each));
    const { madeAt, defaults } = read;
    return { madeAt, defaults, records: read.records.map(parse), lost: read.lost.map(parse) };
  } catch {
    return null;
  }
}

/** Whole or not at all. */
export async function keepIndex(dir: string, index: KeptIndex): Promise<void> {
  const path = join(dir, `.${fileName}.${randomUUID()}`);
  await writeFile(path, JSON.stringify(index));
  await move(path, join(dir, fileName));
}
