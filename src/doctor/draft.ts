import type { Finding } from "millrace-client/wire";
import type { Figures } from "./figures.js";
import type { FindingCode } from "./finding-table.js";

/** A finding, with its code from the table. */
export interface Draft extends Finding {
  readonly code: FindingCode;
}

/** What it says of a window; nothing where all is well. */
export type Rule = (figures: Figures) => readonly Draft[];
