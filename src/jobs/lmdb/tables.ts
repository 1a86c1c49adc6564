/** What lies in the folder: one LMDB file, a table a kind, keys in order. */
import { type Database, open, type RootDatabase } from "lmdb";
import { type Sealed, sealed, unsealed } from "./sealed.js";

/** Parts of a key, in order: strings before which numbers come. Array keys are compared part by part. */
type TableKey = string | (string | number)[];

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
] as const;

type TableName = (typeof names)[number];

/** Every call is synchronous: it is the thread's (thread.ts). */
export class Tables {
  readonly #root: RootDatabase<Uint8Array, TableKey>;
  readonly #tables: ReadonlyMap<TableName, Database<Uint8Array, TableKey>>;
  #writes = 0;

  /** @throws what LMDB says */
  constructor(path: string, mapBytes: number) {
    this.#root = open<Uint8Array, TableKey>({
      path,
      noSubdir: true,
      encoding: "binary",
      maxDbs: names.length,
      mapSize: mapBytes,
      // A commit is synced before it is told; the default of the binding tells it before.
      overlappingSync: false,
    });
    this.#tables = new Map(
      names.map((name) => [
        name,
        this.#root.openDB<Uint8Array, TableKey>({ name, encoding: "binary" }),
      ]),
    );
  }

  /** All of it, or nothing. On disk when it returns. @throws what `work` or LMDB throws */
  transaction<T>(work: () => T): T {
    return this.#root.transactionSync(work);
  }

  /** Its own memory: it can be transferred. @throws MillraceError `job_store_failed`: it is not what was written */
  get(name: TableName, key: TableKey): Sealed | null {
    const bytes = this.#table(name).getBinary(key);
    return bytes === undefined ? null : unsealed(bytes, name);
  }

  has(name: TableName, key: TableKey): boolean {
    return this.#table(name).doesExist(key);
  }

  /** Of all its life: whether something was written meanwhile. */
  get writes(): number {
    return this.#writes;
  }

  put(name: TableName, key: TableKey, head: object, body?: Uint8Array): void {
    this.#writes += 1;
    this.#table(name).putSync(key, sealed(head, body));
  }

  remove(name: TableName, key: TableKey): void {
    this.#writes += 1;
    this.#table(name).removeSync(key);
  }

  /** From `start` (with it) to `end` (without it); backwards from `start` (with it) down to `end` (without it). */
  *keys(
    name: TableName,
    { start, end, isReverse = false }: { start?: TableKey; end?: TableKey; isReverse?: boolean },
  ): Generator<TableKey> {
    const range = {
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
      reverse: isReverse,
    };
    yield* this.#table(name).getKeys(range);
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

function pageBytes(stats: object): number {
  const of = (key: string): number => {
    const value: unknown = Reflect.get(stats, key);
    return typeof value === "number" ? value : 0;
  };
  const pages = of("treeBranchPageCount") + of("treeLeafPageCount") + of("overflowPages");
  return pages * of("pageSize");
}
