/** The keys of a running server. The file may change at any time: what it says counts within a second. */
import { MillraceError } from "millrace-client/wire";
import type { Log } from "../log.js";
import type { Caller } from "../work/caller.js";
import { messageOf } from "../work/thrown.js";
import type { Access, JobTaking, KeyAmount, KeyReceipt, KeyUsage } from "./access.js";
import { FileWatch, stampOf } from "./file-watch.js";
import { type KeyRecord, readKeyFile } from "./key-file.js";
import { KeyRing } from "./key-ring.js";
import { Rate, type RateLimit } from "./rate.js";
import { UsageBook } from "./usage-book.js";

export interface KeyedAccessOptions {
  readonly path: string;
  /** Where it is kept what keys have used. Default: `.usage.json` behind the path of the keys. */
  readonly usagePath?: string | null;
  readonly log: Log;
  /** Default: `performance.now`. */
  readonly nowMs?: () => number;
  /** Default: `Date.now`. */
  readonly dateMs?: () => number;
}

/** @throws MillraceError `key_file_invalid` */
export async function openKeyedAccess(options: KeyedAccessOptions): Promise<Access> {
  const { path, log, dateMs } = options;
  const seen = await stampOf([path]);
  const records = await readKeyFile(path);
  if (records.length === 0) log.warn({ path }, "the file of keys has none: nobody can come in");
  const usage = await UsageBook.open({
    path: options.usagePath ?? `${path}.usage.json`,
    log,
    ...(dateMs === undefined ? {} : { dateMs }),
  });
  return new KeyedAccess(options, { records, usage, seen });
}

interface KeyedAccessParts {
  readonly records: readonly KeyRecord[];
  readonly usage: UsageBook;
  readonly seen: string;
}

class KeyedAccess implements Access {
  readonly isOpen = false;
  readonly #path: string;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #usage: UsageBook;
  readonly #watch: FileWatch;
  /** By the key's id: they outlive a change of the file. */
  #rates = new Map<string, Rate>();
  readonly #listeners = new Set<() => void>();
  /** Of the keys of all readings, so that one that was revoked is told from one that is of another file. */
  readonly #seen: Set<string>;
  #ring: KeyRing;
  #closed: Promise<void> | null = null;

  constructor(options: KeyedAccessOptions, { records, usage, seen }: KeyedAccessParts) {
    const { path, log, nowMs = () => performance.now() } = options;
    this.#path = path;
    this.#log = log;
    this.#nowMs = nowMs;
    this.#usage = usage;
    this.#ring = new KeyRing(records);
    this.#seen = new Set(this.#ring.ids);
    this.#watch = new FileWatch({ paths: [path], seen, onChange: () => this.#reload() });
  }

  callerOf(credential: string | null): Caller {
    return this.#ring.find(credential).caller;
  }

  renewed(caller: Caller): Caller {
    // Who was let in without a key, to a route that needs none, has none that could be gone.
    return caller.keyId === null ? caller : this.#ring.again(caller).caller;
  }

  standing({ keyId }: Pick<Caller, "keyId">): "known" | "stranger" | "revoked" {
    if (keyId === null || this.#ring.has(keyId)) return "known";
    return this.#seen.has(keyId) ? "revoked" : "stranger";
  }

  take(caller: Caller, amount: KeyAmount): () => void {
    return this.#take(caller, amount, amount.inputs);
  }

  takeForJob(caller: Caller, amount: KeyAmount): JobTaking | null {
    const { key } = caller;
    if (key === null || caller.keyId === null) return null;
    const giveBack = this.#take(caller, amount, 1);
    const { id: book, month } = this.#usage;
    return { receipt: { ...amount, key, book, month }, giveBack };
  }

  giveBack(receipt: KeyReceipt, amount: KeyAmount): void {
    if (this.hasCounted(receipt)) this.#usage.giveBack(receipt, amount);
  }

  hasCounted({ book }: KeyReceipt): boolean {
    return book === this.#usage.id;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  usageOf(caller: Caller): KeyUsage | null {
    if (caller.keyId === null) return null;
    const { record } = this.#ring.again(caller);
    const { inputs, characters } = this.#usage.of(record.name);
    const inputsMax = record.quotaPerMonth ?? null;
    return { inputs, characters, inputsMax, endsAtMs: this.#usage.endsAtMs };
  }

  close(): Promise<void> {
    this.#watch[Symbol.dispose]();
    this.#closed ??= this.#usage.close();
    return this.#closed;
  }

  /** Of the rate so many inputs. Gives what takes all of it back, once. */
  #take(caller: Caller, amount: KeyAmount, rated: number): () => void {
    if (caller.keyId === null) return () => {};
    const { record } = this.#ring.again(caller);
    this.#checkQuota(record, amount.inputs);
    const rate = this.#takeRate(caller.keyId, record, rated);
    const takeBack = this.#usage.add(record.name, amount);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      rate?.giveBack(rated);
      takeBack();
    };
  }

  #checkQuota({ name, quotaPerMonth }: KeyRecord, inputs: number): void {
    if (quotaPerMonth === undefined) return;
    const left = Math.max(0, quotaPerMonth - this.#usage.of(name).inputs);
    if (inputs <= left) return;
    const { endsAtMs, nowMs } = this.#usage;
    const until = new Date(endsAtMs).toISOString();
    const message = `Of ${quotaPerMonth} inputs in this month the key has ${left} left, and the request has ${inputs}; the next month begins at ${until}.`;
    throw new MillraceError("quota_exceeded", message, { retryAfterMs: endsAtMs - nowMs });
  }

  #takeRate(keyId: string, record: KeyRecord, inputs: number): Rate | null {
    const limit = limitOf(record);
    if (limit === null) return null;
    const rate = this.#rates.get(keyId) ?? new Rate();
    this.#rates.set(keyId, rate);
    const retryAfterMs = rate.take(inputs, limit, this.#nowMs());
    if (retryAfterMs === 0) return rate;
    const { perSecond, burst } = limit;
    const message = `The key may send ${perSecond} inputs a second, ${burst} of them at once.`;
    throw new MillraceError("rate_limited", message, { retryAfterMs });
  }

  async #reload(): Promise<void> {
    try {
      const ring = new KeyRing(await readKeyFile(this.#path));
      this.#ring = ring;
      for (const id of ring.ids) this.#seen.add(id);
      for (const listener of this.#listeners) listener();
      this.#log.info({ path: this.#path, keys: ring.count }, "keys read again");
    } catch (error) {
      const why = messageOf(error);
      this.#log.error({ why }, "the file of keys has changed and is not used: the keys stay");
    }
  }
}

function limitOf({ ratePerSecond, burst }: KeyRecord): RateLimit | null {
  if (ratePerSecond === undefined) return null;
  return { perSecond: ratePerSecond, burst: burst ?? ratePerSecond };
}
