/**
 * What each key has used in this calendar month (UTC), by the key's name: a key that is made anew goes on counting. Kept in a file
 * beside that of the keys; whoever kills the server loses the last seconds of it. One server a file: two would each write its own.
 */
import { randomUUID } from "node:crypto";
import { open, readFile, rm } from "node:fs/promises";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import type { Log } from "../log.js";
import { move } from "../platform/move.js";
import { hasCode } from "../work/thrown.js";
import type { KeyAmount, KeyReceipt } from "./access.js";

const count = z.number().int().min(0);
const usageFile = z.strictObject({
  version: z.literal(1),
  /** What jobs remember it by. Absent in one that no job was counted in. */
  id: z.string().min(1).max(64).optional(),
  /** `2026-11` */
  month: z.string().regex(/^\d{4}-\d{2}$/),
  keys: z.record(z.string(), z.strictObject({ inputs: count, characters: count })),
});

const saveAfterMs = 2_000;

interface Counted {
  inputs: number;
  characters: number;
}

export interface UsageBookOptions {
  readonly path: string;
  readonly log: Log;
  /** Default: `Date.now`. */
  readonly dateMs?: () => number;
}

export class UsageBook {
  /** Of this file, over restarts: a job says who counted it. */
  readonly id: string;
  readonly #path: string;
  readonly #log: Log;
  readonly #dateMs: () => number;
  #month: string;
  #keys: Map<string, Counted>;
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();
  #isFailing = false;

  /** @throws MillraceError `key_file_invalid` where it is there and broken: nobody's quota begins anew by accident. */
  static async open(options: UsageBookOptions): Promise<UsageBook> {
    const { path } = options;
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (cause) {
      if (hasCode(cause, "ENOENT")) {
        return new UsageBook(options, null);
      }
      throw unusable(path, cause);
    }
    try {
      return new UsageBook(options, usageFile.parse(JSON.parse(text)));
    } catch (cause) {
      throw unusable(path, cause);
    }
  }

  private constructor(
    { path, log, dateMs = Date.now }: UsageBookOptions,
    kept: z.infer<typeof usageFile> | null,
  ) {
    this.#path = path;
    this.#log = log;
    this.#dateMs = dateMs;
    this.id = kept?.id ?? randomUUID();
    this.#month = kept?.month ?? monthOf(dateMs());
    this.#keys = new Map(Object.entries(kept?.keys ?? {}));
  }

  of(name: string): KeyAmount {
    this.#turn();
    return this.#keys.get(name) ?? { inputs: 0, characters: 0 };
  }

  get endsAtMs(): number {
    const date = new Date(this.#dateMs());
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  }

  get nowMs(): number {
    return this.#dateMs();
  }

  /** `2026-11` */
  get month(): string {
    this.#turn();
    return this.#month;
  }

  /** What takes it back: only within the month. */
  add(name: string, { inputs, characters }: KeyAmount): () => void {
    this.#turn();
    const counted = this.#keys.get(name) ?? { inputs: 0, characters: 0 };
    this.#keys.set(name, counted);
    counted.inputs += inputs;
    counted.characters += characters;
    this.#saveSoon();
    return () => this.#less(counted, { inputs, characters });
  }

  /** Counted in a month that is over: nothing. */
  giveBack({ key, month }: Pick<KeyReceipt, "key" | "month">, amount: KeyAmount): void {
    const counted = this.#keys.get(key);
    if (month !== this.month || counted === undefined) return;
    this.#less(counted, amount);
  }

  /** Never less than nothing: of what is given back a server that was killed may have forgotten some. */
  #less(counted: Counted, { inputs, characters }: KeyAmount): void {
    counted.inputs = Math.max(0, counted.inputs - inputs);
    counted.characters = Math.max(0, counted.characters - characters);
    this.#saveSoon();
  }

  /** Writes what was not written yet. */
  async close(): Promise<void> {
    if (this.#timer !== null) this.#saveNow();
    await this.#saving;
  }

  /** A new month begins with nothing; a clock that is set back stays in the month that it was in. */
  #turn(): void {
    const month = monthOf(this.#dateMs());
    if (month <= this.#month) return;
    this.#month = month;
    this.#keys = new Map();
    this.#saveSoon();
  }

  #saveSoon(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => this.#saveNow(), saveAfterMs);
    this.#timer.unref();
  }

  #saveNow(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // One after the other: two would write into one draft.
    this.#saving = this.#saving.then(() => this.#save());
  }

  async #save(): Promise<void> {
    const { id } = this;
    const content = { version: 1, id, month: this.#month, keys: Object.fromEntries(this.#keys) };
    const draft = `${this.#path}.new`;
    try {
      await using handle = await open(draft, "w", 0o600);
      await handle.writeFile(`${JSON.stringify(content)}\n`);
      await handle.sync();
      await move(draft, this.#path);
      this.#isFailing = false;
    } catch (error) {
      await rm(draft, { force: true }).catch(() => {});
      // Once, not every two seconds: what is counted goes on in memory.
      if (!this.#isFailing) {
        this.#log.error({ err: error, path: this.#path }, "what keys have used cannot be written");
      }
      this.#isFailing = true;
      this.#saveSoon();
    }
  }
}

function monthOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 7);
}

function unusable(path: string, cause: unknown): MillraceError {
  const why = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
  const message = `${path} has what keys have used in this month, and cannot be used: ${why}; mend it, or remove it to count from 0`;
  return new MillraceError("key_file_invalid", message, { cause });
}
