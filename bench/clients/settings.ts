/** What the parts of the benchmark are given. */
import type { CreateServerOptions } from "#src/index.js";
import type { Report } from "../harness/report.js";

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
  /** Options of every server with a model. */
  readonly serving: CreateServerOptions;
  readonly peers: { readonly dir: string; readonly install: boolean };
}
