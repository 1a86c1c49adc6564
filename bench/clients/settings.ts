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

/** With a model. */
export interface ModelSettings extends ClientsSettings {
  readonly texts: readonly string[];
  /** Of the folder that the model was converted from. */
  readonly sourceDir: string;
  readonly pipelines: number;
  /** Of a pipeline. */
  readonly threads: number;
  readonly peers: { readonly dir: string; readonly install: boolean };
}
