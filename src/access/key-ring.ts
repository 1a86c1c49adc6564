/** The keys of one reading of the file: which of them a credential is. */
import { timingSafeEqual } from "node:crypto";
import { MillraceError } from "millrace-client/wire";
import type { Caller } from "../work/caller.js";
import { hashOfKey, type KeyRecord } from "./key-file.js";

export interface RingKey {
  readonly record: KeyRecord;
  readonly caller: Caller;
  readonly hash: Buffer;
}

/** Equal or not, in a time that says nothing of the bytes. */
export type Compare = (left: Buffer, right: Buffer) => boolean;

export class KeyRing {
  readonly #keys: readonly RingKey[];
  readonly #byId: ReadonlyMap<string, RingKey>;
  readonly #compare: Compare;

  constructor(records: readonly KeyRecord[], compare: Compare = timingSafeEqual) {
    this.#keys = records.map((record) => ({
      record,
      caller: callerFrom(record),
      hash: Buffer.from(record.sha256, "hex"),
    }));
    this.#byId = new Map(this.#keys.map((key) => [idOf(key.record), key]));
    this.#compare = compare;
  }

  get count(): number {
    return this.#keys.length;
  }

  /**
   * Takes as long for every credential: all keys are compared, whichever it is, and none of them in a time of its own.
   *
   * @throws MillraceError `unauthenticated`
   */
  find(credential: string | null): RingKey {
    if (credential === null) throw unauthenticated("This server asks for a key.");
    const hash = hashOfKey(credential);
    let found: RingKey | null = null;
    for (const key of this.#keys) {
      if (this.#compare(key.hash, hash)) found = key;
    }
    if (found === null) throw unauthenticated("This server does not know that key.");
    return found;
  }

  has(keyId: string): boolean {
    return this.#byId.has(keyId);
  }

  get ids(): Iterable<string> {
    return this.#byId.keys();
  }

  /** @throws MillraceError `unauthenticated` */
  again({ keyId }: Caller): RingKey {
    const found = this.#byId.get(keyId ?? "");
    if (found === undefined) throw unauthenticated("The key was revoked.");
    return found;
  }
}

/** As much of the hash as tells keys apart; it can be logged, and opens nothing. */
function idOf({ sha256 }: KeyRecord): string {
  return sha256.slice(0, 16);
}

function callerFrom(record: KeyRecord): Caller {
  const { name, tenant = name, classes = null, models = null, admin = false } = record;
  return {
    key: name,
    keyId: idOf(record),
    tenant: tenant === "*" ? null : tenant,
    classes,
    models,
    isAdmin: admin,
  };
}

function unauthenticated(message: string): MillraceError {
  return new MillraceError("unauthenticated", message);
}
