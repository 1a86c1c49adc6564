/**
 * `.npy`: float32 rows behind a head of fixed size, so that rows can be added and their number be put right.
 *
 *     "\x93NUMPY" 1 0 · u16 118 · {'descr': '<f4', 'fortran_order': False, 'shape': (rows, width), } · spaces · "\n"
 *     width × float32 · width × float32 · …
 *
 * The row of an entry that failed is NaN; which these are, and why, stands in `OUT.failed.jsonl`.
 */
import { open, rm } from "node:fs/promises";
import { type ItemError, MillraceError } from "millrace-client";
import { BufferedFile } from "./buffered-file.js";
import { type BulkOutcome, type InputPlace, inputName } from "./entry.js";
import type { RowsFormat, RowsOutput } from "./rows.js";

const headBytes = 128;
const bytesOfFloat = Float32Array.BYTES_PER_ELEMENT;
/** Wider rows than any model's; a head that says more is not ours. */
const widthMax = 1_048_576;

interface Head {
  readonly rows: number;
  readonly width: number;
}

export function npyRows<Result extends object>(
  rowOf: (result: Result) => Float32Array,
): RowsFormat<Result> {
  return {
    wholeRows: async (path) => {
      const found = await readHead(path);
      if (found === null) return { rows: 0, bytes: 0 };
      const { size, width } = found;
      const rows = width === 0 ? 0 : Math.floor((size - headBytes) / (width * bytesOfFloat));
      return rows === 0 ? { rows, bytes: 0 } : { rows, bytes: bytesUpTo({ rows, width }) };
    },
    open: async (path, kept) => {
      const found = kept.rows === 0 ? null : await readHead(path);
      const file = await BufferedFile.open(path, { keptBytes: kept.bytes });
      const failures = new FailedRows(`${path}.failed.jsonl`);
      await failures.keep(kept.rows);
      return new NpyRows({ file, failures, rowOf }, { rows: kept.rows, width: found?.width ?? 0 });
    },
  };
}

interface NpyParts<Result extends object> {
  readonly file: BufferedFile;
  readonly failures: FailedRows;
  readonly rowOf: (result: Result) => Float32Array;
}

class NpyRows<Result extends object> implements RowsOutput<Result> {
  readonly #parts: NpyParts<Result>;
  /** 0 until the first result tells it. */
  #width: number;
  #rows: number;
  /** Failed before the width was known; not in the file yet, so a run that ends here does them again. */
  #early = 0;

  constructor(parts: NpyParts<Result>, { rows, width }: Head) {
    this.#parts = parts;
    this.#rows = rows;
    this.#width = width;
  }

  get isDue(): boolean {
    return this.#parts.file.isDue;
  }

  add(place: InputPlace, outcome: BulkOutcome<Result>): void {
    const row = this.#rows + this.#early;
    if (outcome === null || "error" in outcome) {
      const { code, message } = (outcome as ItemError | null)?.error ?? nothing;
      this.#parts.failures.add({ row, name: inputName(place), code, message });
      if (this.#width === 0) this.#early += 1;
      else this.#push(new Float32Array(this.#width).fill(Number.NaN));
      return;
    }
    const values = this.#parts.rowOf(outcome);
    if (this.#width === 0) this.#begin(values.length);
    if (values.length !== this.#width) {
      throw new MillraceError(
        "response_invalid",
        `${inputName(place)} has ${values.length} numbers, and those before it have ${this.#width}: another model answered`,
      );
    }
    this.#push(values);
  }

  async flush(): Promise<void> {
    const { file, failures } = this.#parts;
    await failures.flush();
    await file.flush();
    // After the rows: a head never promises what is not there.
    await file.writeAt(0, headOf({ rows: this.#rows + this.#early, width: this.#width }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.file[Symbol.asyncDispose]();
    await this.#parts.failures[Symbol.asyncDispose]();
  }

  #begin(width: number): void {
    this.#width = width;
    const early = this.#early;
    this.#early = 0;
    this.#parts.file.add(headOf({ rows: 0, width }));
    for (let row = 0; row < early; row += 1) this.#push(new Float32Array(width).fill(Number.NaN));
  }

  #push(values: Float32Array): void {
    this.#parts.file.add(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    this.#rows += 1;
  }
}

const nothing = { code: "input_empty", message: "Nothing is in it." } as const;

interface FailedRow {
  /** From 0, as numpy counts. */
  readonly row: number;
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** There only when there are any. Written before the rows, so that every NaN has its line. */
class FailedRows implements AsyncDisposable {
  readonly #path: string;
  #file: BufferedFile | null = null;
  #waiting: Uint8Array[] = [];
  #keptBytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Those of the first so many rows stay. */
  async keep(rows: number): Promise<void> {
    if (rows === 0) {
      await rm(this.#path, { force: true });
      return;
    }
    const file = await open(this.#path).catch(() => null);
    if (file === null) return;
    try {
      for await (const line of file.readLines()) {
        const row = rowNumber(line);
        if (row === null || row >= rows) break;
        this.#keptBytes += Buffer.byteLength(line) + 1;
      }
    } finally {
      await file.close();
    }
    if (this.#keptBytes === 0) await rm(this.#path, { force: true });
    else this.#file = await BufferedFile.open(this.#path, { keptBytes: this.#keptBytes });
  }

  add(row: FailedRow): void {
    this.#waiting.push(Buffer.from(`${JSON.stringify(row)}\n`));
  }

  async flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    this.#file ??= await BufferedFile.open(this.#path);
    for (const line of this.#waiting.splice(0)) this.#file.add(line);
    await this.#file.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.[Symbol.asyncDispose]();
  }
}

function rowNumber(line: string): number | null {
  try {
    const value = JSON.parse(line) as { row?: unknown } | null;
    return typeof value?.row === "number" ? value.row : null;
  } catch {
    return null;
  }
}

function headOf({ rows, width }: Head): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${width}), }`;
  const head = Buffer.alloc(headBytes, 0x20);
  head.set([0x93, ...Buffer.from("NUMPY"), 1, 0]);
  head.writeUInt16LE(headBytes - 10, 8);
  head.write(text, 10, "latin1");
  head[headBytes - 1] = 10;
  return head;
}

/** Null where there is not even a whole head. */
async function readHead(path: string): Promise<(Head & { readonly size: number }) | null> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size < headBytes) return null;
    const bytes = Buffer.alloc(headBytes);
    await file.read(bytes, 0, headBytes, 0);
    const shape = /'shape': \((\d{1,15}), (\d{1,7})\)/.exec(bytes.toString("latin1"));
    const head = { rows: Number(shape?.[1] ?? 0), width: Number(shape?.[2] ?? 0) };
    if (head.width > widthMax || !headOf(head).every((byte, at) => byte === bytes[at])) {
      throw new MillraceError("output_exists", `${path} is there, and its head is not ours`);
    }
    return { ...head, size };
  } finally {
    await file.close();
  }
}

function bytesUpTo({ rows, width }: Head): number {
  return headBytes + rows * width * bytesOfFloat;
}
