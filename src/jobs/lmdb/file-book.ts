/** Files and their chunks, as they lie in the tables. Inside a transaction. */
import { MillraceError } from "millrace-client/wire";
import type { Chunk, DerivedFile, LateFile, NewFile, PageQuery, StoredFile } from "../store.js";
import type { FileTotals } from "./calls.js";
import { isKey, ownerKey, pageOf } from "./keys.js";
import { keepPlace } from "./places.js";
import type { Tables } from "./tables.js";

export class FileBook {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  begin(head: NewFile): void {
    const { id } = head;
    const t = this.#tables;
    if (
      !isKey(id) ||
      t.has("files", id) ||
      t.has("writing", id) ||
      t.has("graves", ["chunks", id])
    ) {
      throw new MillraceError("internal", `a file cannot be called ${id}`);
    }
    t.put("writing", id, head);
  }

  addChunk(fileId: string, { bytes, ...head }: Chunk): void {
    if (!this.#tables.has("writing", fileId)) throw notWritten(fileId);
    this.#tables.putLarge("chunks", [fileId, head.index], { head, body: bytes });
  }

  finish(fileId: string, totals: FileTotals & LateFile): StoredFile {
    const head = this.#tables.get("writing", fileId)?.head as NewFile | undefined;
    if (head === undefined) throw notWritten(fileId);
    this.#tables.remove("writing", fileId);
    return this.#keep({ ...head, ...totals, of: null });
  }

  abort(fileId: string): void {
    if (!this.#tables.has("writing", fileId)) return;
    this.#tables.remove("writing", fileId);
    this.#tables.put("graves", ["chunks", fileId], {});
  }

  /** What was being written when the process ended. */
  abortAll(): void {
    for (const id of this.#tables.keys("writing", {})) {
      if (typeof id === "string") this.abort(id);
    }
  }

  derive(file: DerivedFile): void {
    if (!isKey(file.id) || this.#tables.has("files", file.id)) {
      throw new MillraceError("internal", `a file cannot be called ${file.id}`);
    }
    this.#keep({ ...file, chunks: 0 });
  }

  file(id: string): StoredFile | null {
    if (!isKey(id)) return null;
    return (this.#tables.get("files", id)?.head as StoredFile | undefined) ?? null;
  }

  /** Null also where it is damaged: for whoever has to do with more than this one. */
  intact(id: string): StoredFile | null {
    if (!isKey(id)) return null;
    return (this.#tables.intact("files", id)?.head as StoredFile | undefined) ?? null;
  }

  page(query: PageQuery): readonly StoredFile[] {
    const inList = (id: string): StoredFile | null => {
      const file = this.intact(id);
      return file === null || file.isInternal ? null : file;
    };
    return pageOf(this.#tables, query, { name: "filesInOrder", find: inList });
  }

  chunk(fileId: string, index: number): Chunk | null {
    if (!isKey(fileId) || !this.#tables.has("files", fileId)) return null;
    const file = this.intact(fileId);
    if (file === null) {
      throw new MillraceError("job_data_lost", `the folder is damaged: what it says of ${fileId}`);
    }
    if (index < 0 || index >= file.chunks) return null;
    const value = this.#tables.get("chunks", [fileId, index]);
    if (value === null) {
      throw new MillraceError(
        "job_data_lost",
        `the folder is damaged: a chunk of ${fileId} is gone`,
      );
    }
    return { ...(value.head as Omit<Chunk, "bytes">), bytes: value.body };
  }

  /** Not before this time; null: nobody asks for that. */
  keepUntil(id: string, untilMs: number | null): void {
    const file = this.intact(id);
    if (file === null || untilMs === null || file.expiresAtMs === null) return;
    if (file.expiresAtMs < untilMs) this.#expireAt(file, untilMs);
  }

  /** A job has it: what is its own alone goes with it, and not before. */
  use({ id }: Pick<StoredFile, "id">): void {
    const file = this.file(id);
    if (file?.isInternal === true) this.#expireAt(file, null);
  }

  /** As of jobs: one that is damaged is left where it is. */
  remove(id: string): boolean {
    const file = this.intact(id);
    if (file === null) return false;
    const { owner, sequence, expiresAtMs, chunks } = file;
    this.#tables.remove("files", id);
    if (!file.isInternal) {
      this.#tables.remove("filesInOrder", [ownerKey(null), sequence]);
      if (owner !== null) this.#tables.remove("filesInOrder", [ownerKey(owner), sequence]);
      keepPlace(this.#tables, "filesInOrder", file);
    }
    if (expiresAtMs !== null) this.#tables.remove("expiries", [expiresAtMs, "file", id]);
    if (chunks > 0) this.#tables.put("graves", ["chunks", id], {});
    return true;
  }

  #expireAt(file: StoredFile, expiresAtMs: number | null): void {
    const { id, expiresAtMs: before } = file;
    if (before !== null) this.#tables.remove("expiries", [before, "file", id]);
    if (expiresAtMs !== null) this.#tables.put("expiries", [expiresAtMs, "file", id], {});
    this.#tables.put("files", id, { ...file, expiresAtMs });
  }

  #keep(file: Omit<StoredFile, "sequence">): StoredFile {
    const sequence = nextSequence(this.#tables);
    const stored: StoredFile = { ...file, sequence };
    const { id, owner, expiresAtMs } = stored;
    this.#tables.put("files", id, stored);
    if (!stored.isInternal) {
      this.#tables.put("filesInOrder", [ownerKey(null), sequence], { id });
      if (owner !== null) this.#tables.put("filesInOrder", [ownerKey(owner), sequence], { id });
    }
    if (expiresAtMs !== null) this.#tables.put("expiries", [expiresAtMs, "file", id], {});
    return stored;
  }
}

/** The store was opened again meanwhile, and took its writer for dead. */
function notWritten(fileId: string): MillraceError {
  return new MillraceError("job_store_failed", `nobody writes the file ${fileId} any more`);
}

/** Of files and jobs together. */
export function nextSequence(tables: Tables): number {
  const last = tables.get("marks", "sequence")?.head as { readonly last: number } | undefined;
  const next = (last?.last ?? 0) + 1;
  tables.put("marks", "sequence", { last: next });
  return next;
}
