/**
 * `OUT.progress.json` beside an output that a later run may go on with: of which command, arguments and input it is.
 * How far it is, the output itself says; this only says whether to go on is right.
 *
 * It is written before the rows that it stands for, and always whole: a run that is killed at any moment leaves an
 * output of which this file knows the whole input.
 */
import { randomUUID } from "node:crypto";
import { access, readFile, rm, stat, writeFile } from "node:fs/promises";
import { MillraceError } from "millrace-client";
import { z } from "zod";
import { move } from "../../platform/move.js";
import { unwritable } from "../../work/file-problem.js";
import type { PrefixMark } from "./input-prefix.js";
import { parsedAs } from "./parsed-as.js";

export type RunArguments = Readonly<Record<string, string | number | boolean | null>>;

interface ProgressRecord {
  readonly version: 1;
  readonly command: string;
  readonly arguments: RunArguments;
  /** What was read of the input so far; null: it is a folder. */
  readonly input: PrefixMark | null;
  /** Rows of the output when this was written; it may have more. */
  readonly rows: number;
  readonly complete: boolean;
}

const record: z.ZodType<ProgressRecord> = z.strictObject({
  version: z.literal(1),
  command: z.string(),
  arguments: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  input: z.nullable(
    z.strictObject({ bytes: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
  rows: z.int().min(0),
  complete: z.boolean(),
});

export interface RunIdentity {
  readonly command: string;
  /** What a result depends on; `null` where it was not given. */
  readonly arguments: RunArguments;
}

/** Begun: what the former run read of its input. */
export interface Begun {
  readonly input: PrefixMark | null;
}

export class ProgressFile {
  readonly out: string;
  readonly #path: string;
  readonly #identity: RunIdentity;

  constructor(out: string, identity: RunIdentity) {
    this.out = out;
    this.#path = `${out}.progress.json`;
    this.#identity = identity;
  }

  /**
   * What there is to go on with; null: nothing, and nothing is in the way.
   * @throws MillraceError `output_exists` where nothing tells how the output came about, `option_invalid` where it
   * came about in another way than this run's.
   */
  async begun(): Promise<Begun | null> {
    if (!(await exists(this.out))) return null;
    const text = await readFile(this.#path, "utf8").catch(() => null);
    if (text === null) {
      throw this.#inTheWay(`there is no ${this.#path} that says how to go on with it`);
    }
    const parsed = parsedAs(record, text);
    if (parsed === null) throw this.#inTheWay(`${this.#path} is damaged`);
    // Of a run that ended before its first row, by a wrong name of a model, say: nothing is lost.
    if ((await stat(this.out)).size === 0) return null;
    const { command, arguments: former, input } = parsed;
    const changed = [
      ...(command === this.#identity.command ? [] : [`command: ${command}`]),
      ...changes(former, this.#identity.arguments),
    ];
    if (changed.length > 0) throw this.differs(`was begun with ${changed.join(", ")}`);
    return { input };
  }

  async save(state: Pick<ProgressRecord, "input" | "rows" | "complete">): Promise<void> {
    const body: ProgressRecord = { version: 1, ...this.#identity, ...state };
    const partial = `${this.#path}.${randomUUID()}.partial`;
    try {
      await writeFile(partial, `${JSON.stringify(body)}\n`, { flag: "wx" });
      await move(partial, this.#path);
    } catch (error) {
      await rm(partial, { force: true });
      throw unwritable(this.#path, error);
    }
  }

  differs(how: string): MillraceError {
    const message = `${this.out} ${how}: name another --out, or --restart to begin it anew`;
    return new MillraceError("option_invalid", message);
  }

  #inTheWay(why: string): MillraceError {
    return new MillraceError("output_exists", `${this.out} is there, and ${why}`);
  }
}

function changes(former: RunArguments, now: RunArguments): string[] {
  const keys = [...new Set([...Object.keys(former), ...Object.keys(now)])];
  return keys.flatMap((key) => {
    const [before, after] = [former[key] ?? null, now[key] ?? null];
    return before === after ? [] : [`${key} ${said(before)} instead of ${said(after)}`];
  });
}

function said(value: string | number | boolean | null): string {
  return value === null ? "not given" : String(value);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
