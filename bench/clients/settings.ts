/** What the parts of the benchmark are given. */
import type { Report } from "./report.js";

export interface ClientsSettings {
  readonly report: Report;
  /** Where to write. */
  readonly parent: string;
  readonly rounds: number;
  /** Of one measurement. */
  readonly ms: number;
  readonly callers: number;
  /** Where servers of the benchmark write where their time goes; null: nowhere. */
  readonly profileDir: string | null;
}
