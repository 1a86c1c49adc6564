/** What lies in the folder: one LMDB file, a table a kind, keys in order. */
import { type Database, open, type RootDatabase } from "lmdb";
import { MillraceError } from "millrace-client/wire";
import { type Envelope, envelopeOf, openEnvelope } from "./envelope.js";

/** Parts of a key, in order: strings before which numbers come. Array keys are compared part by part. */
type TableKey = string | number | (string | number)[];

const names = [
  "marks",
  "files",
  "filesInOrder",
  "writing",
  "chunks",
  "jobs",
  "jobsInOrder",
  "openJobs",
  "results",
  "requestKeys",
  "expiries",
  "graves",
  "places",
] as const;

type TableName = (typeof names)[number];

export interface TablesOptions {
  /** Addresses that are set aside for the file; default: as many as it has. */
  readonly mapBytes?: number;
  readonly isReadOnly?: boolean;
  /** Of a value that is passed over; maybe often. Default: nobody is told. */
  readonly onDamaged?: (value: DamagedValue) => void;
}

/** `key`: its parts, with `/` between. */
export interface DamagedValue {
  readonly table: string;
  readonly key: string;
}

const keysAtOnce = 256;

interface NewValue {
  readonly head: object;
  readonly body: Uint8Array;
}

interface KeyRange {
  readonly start?: TableKey;
  readonly end?: TableKey;
  readonly isReverse?: boolean;
}

/** Every call is synchronous: it is the thread's (thread.ts). */
export class Tables {
  readonly #root: RootDatabase<Uint8Array, TableKey>;
  readonly #tables: ReadonlyMap<TableName, Database<Uint8Array, TableKey>>;
  readonly #onDamaged: (value: DamagedValue) => void;
  #writes = 0;

  /** @throws MillraceError `data_invalid`, and what LMDB says */
  constructor(path: string, { mapBytes, isReadOnly = false, onDamaged }: TablesOptions) {
    this.#onDamaged = onDamaged ?? (() => {});
    this.#root = open<Uint8Array, TableKey>({
      path,
      noSubdir: true,
      encoding: "binary",
      maxDbs: names.length,
      readOnly: isReadOnly,
      ...(mapBytes === undefined ? {} : { mapSize: mapBytes }),
      // A commit is synced before it is told; the default of the binding tells it before.
      overlappingSync: false,
    });
    const found = new Set([...this.#root.getKeys()].map(String));
    const foreign = [...found].find((name) => !isName(name));
    if (foreign !== undefined) {
      void this.#root.close();
      throw new MillraceError("data_invalid", "it holds tables that are not Millrace's");
    }
    const opened = isReadOnly ? names.filter((name) => found.has(name)) : names;
    this.#tables = new Map(
      opened.map((name) => [
        name,
        this.#root.openDB<Uint8Array, TableKey>({ name, encoding: "binary" }),
      ]),
    );
  }

  get areEmpty(): boolean {
    return [...this.#tables.values()].every((table) => table.getKeysCount({ limit: 1 }) === 0);
  }

  /**
   * Every key, and every value but those of chunks and results, which are checked when they are read; those too where it is `deep`. A value
   * that is damaged costs what it tells of and nothing else, but for the marks, on which everything stands.
   *
   * @throws MillraceError `job_store_failed` for a mark
   */
  walk({ isDeep }: { readonly isDeep: boolean }): void {
    for (const name of this.#tables.keys()) {
      for (const key of this.keys(name, {})) {
        if (name === "marks") this.get(name, key);
        else if (isDeep || !isLarge(name)) this.intact(name, key);
      }
    }
  }

  /** All of it, or nothing. On disk when it returns. @throws what `work` or LMDB throws */
  transaction<T>(work: () => T): T {
    return this.#root.transactionSync(work);
  }

  /**
   * Its own memory: it can be transferred.
   *
   * @throws MillraceError `job_store_failed`, or `job_data_lost` of lines and results: it is not what was written
   */
  get(name: TableName, key: TableKey): Envelope | null {
    const bytes = this.#table(name).getBinary(key);
    if (bytes === undefined) return null;
    const opened = openEnvelope(bytes);
    if (opened !== null) return opened;
    const code = isLarge(name) ? "job_data_lost" : "job_store_failed";
    throw new MillraceError(code, `the folder is damaged: a value of ${name}`);
  }

  /** As `get`; what is damaged is told, and is as if it were not there. */
  intact(name: TableName, key: TableKey): Envelope | null {
    try {
      return this.get(name, key);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#onDamaged({ table: name, key: [key].flat().join("/") });
      return null;
    }
  }

  has(name: TableName, key: TableKey): boolean {
    return this.#table(name).doesExist(key);
  }

  /** Of all its life: whether something was written meanwhile. */
  get writes(): number {
    return this.#writes;
  }

  put(name: TableName, key: TableKey, head: object): void {
    this.putLarge(name, key, { head, body: new Uint8Array(0) });
  }

  putLarge(name: TableName, key: TableKey, { head, body }: NewValue): void {
    this.#writes += 1;
    this.#table(name).putSync(key, envelopeOf(head, body));
  }

  /** Of a table that is a list of ids. Null: it is damaged. */
  idAt(name: TableName, key: TableKey): string | null {
    const head = this.intact(name, key)?.head as { readonly id: string } | undefined;
    return head?.id ?? null;
  }

  remove(name: TableName, key: TableKey): void {
    this.#writes += 1;
    this.#table(name).removeSync(key);
  }

  /**
   * From `start` (with it) to `end` (without it); backwards from `start` (with it) down to `end` (without it). Some at a time, because
   * nothing else may be read or written while a cursor is open; who is given one may remove it.
   */
  *keys(name: TableName, { start, end, isReverse = false }: KeyRange): Generator<TableKey> {
    const ends = { ...(end === undefined ? {} : { end }), reverse: isReverse, limit: keysAtOnce };
    let last: TableKey | undefined;
    for (;;) {
      const from = last ?? start;
      const keys = [
        ...this.#table(name).getKeys(from === undefined ? ends : { ...ends, start: from }),
      ];
      for (const key of keys) if (!isEqual(key, last)) yield key;
      if (keys.length < keysAtOnce) return;
      last = keys.at(-1);
    }
  }

  /** Where the file's last page ends that holds, or held, something. */
  get endBytes(): number {
    const stats = this.#root.getStats();
    return (numberIn(stats, "lastPageNumber") + 1) * numberIn(stats, "pageSize");
  }

  /** Pages that hold something, whole: freed ones are used again, and do not count. */
  usedBytes(): number {
    let bytes = 0;
    for (const table of this.#tables.values()) bytes += pageBytes(table.getStats());
    return bytes;
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #table(name: TableName): Database<Uint8Array, TableKey> {
    const table = this.#tables.get(name);
    if (table === undefined) throw new Error(`no table ${name}`);
    return table;
  }
}

function isEqual(one: TableKey, other: TableKey | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Lines and results: what is lost of them costs no more than they are. */
function isLarge(name: TableName): boolean {
  return name === "chunks" || name === "results";
}

function isName(name: string): name is TableName {
  return names.some((known) => known === name);
}

function pageBytes(stats: object): number {
  const names = ["treeBranchPageCount", "treeLeafPageCount", "overflowPages"];
  const pages = names.reduce((sum, name) => sum + numberIn(stats, name), 0);
  return pages * numberIn(stats, "pageSize");
}

function numberIn(stats: object, name: string): number {
  const value: unknown = Reflect.get(stats, name);
  return typeof value === "number" ? value : 0;
}
