/** What every output has that a later run can go on with: rows at its end, each whole or not there. */
import type { BulkOutcome, InputPlace } from "./entry.js";

/** What of a file is whole. */
export interface WholeRows {
  readonly rows: number;
  readonly bytes: number;
}

export interface RowsOutput<Result extends object> extends AsyncDisposable {
  add(place: InputPlace, outcome: BulkOutcome<Result>): void;
  readonly isDue: boolean;
  flush(): Promise<void>;
}

export interface RowsFormat<Result extends object> {
  /** @throws MillraceError `output_exists` where the file is none of this format. */
  wholeRows(path: string): Promise<WholeRows>;
  /** Goes on behind `kept`; what lies there is cut off. */
  open(path: string, kept: WholeRows): Promise<RowsOutput<Result>>;
}
