/** An output with its progress beside it: rows are added in order, and what a killed run left is gone on with. */
import type { BulkOutcome, BulkOutput, InputPlace } from "./entry.js";
import type { InputPrefix } from "./input-prefix.js";
import type { ProgressFile } from "./progress-file.js";
import type { RowsFormat, RowsOutput, WholeRows } from "./rows.js";

interface ResumableParts<Result extends object> {
  readonly progress: ProgressFile;
  readonly format: RowsFormat<Result>;
  readonly kept: WholeRows;
  /** Null for a folder. */
  readonly prefix: InputPrefix | null;
}

export const noRows: WholeRows = { rows: 0, bytes: 0 };

export class ResumableOutput<Result extends object> implements BulkOutput<Result>, AsyncDisposable {
  readonly #parts: ResumableParts<Result>;
  readonly #output: RowsOutput<Result>;
  #rows: number;
  #flushedRows: number;

  static async open<Result extends object>(
    parts: ResumableParts<Result>,
  ): Promise<ResumableOutput<Result>> {
    const { progress, format, kept, prefix } = parts;
    // First, so that there is no moment with rows that nobody knows the origin of.
    await progress.save({ input: prefix?.mark() ?? null, rows: kept.rows, complete: false });
    return new ResumableOutput(parts, await format.open(progress.out, kept));
  }

  private constructor(parts: ResumableParts<Result>, output: RowsOutput<Result>) {
    this.#parts = parts;
    this.#output = output;
    this.#rows = parts.kept.rows;
    this.#flushedRows = parts.kept.rows;
  }

  get rows(): number {
    return this.#rows;
  }

  async put(place: InputPlace, outcome: BulkOutcome<Result>): Promise<void> {
    this.#output.add(place, outcome);
    this.#rows += 1;
    if (this.#output.isDue) await this.flush();
  }

  /** What waits is written, so that a run that ends here is gone on with behind it. */
  async flush(): Promise<void> {
    if (this.#rows === this.#flushedRows) return;
    this.#flushedRows = this.#rows;
    await this.#save(false);
    await this.#output.flush();
  }

  async finish(): Promise<void> {
    await this.flush();
    // Also where there was nothing: an array without rows has a head.
    await this.#output.flush();
    await this.#save(true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#output[Symbol.asyncDispose]();
  }

  async #save(complete: boolean): Promise<void> {
    const { progress, prefix } = this.#parts;
    await progress.save({ input: prefix?.mark() ?? null, rows: this.#rows, complete });
  }
}
