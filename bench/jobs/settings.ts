/** What the parts of the benchmark are given. */
import type { Report } from "../harness/report.js";
import type { ServeFlags, ServerTree } from "../harness/server-tree.js";

export interface JobsSettings {
  readonly report: Report;
  /** Where to write. */
  readonly parent: string;
  readonly rounds: number;
  /** Of one measurement that has no end of its own. */
  readonly ms: number;
  readonly lines: number;
  readonly seed: number;
  /** Of the recorded times of a model's runs. */
  readonly factor: number;
  readonly pipelines: number;
}

/** What runs in the workers. */
export type Workers = "real" | "timed" | "instant";

export interface ServeSpec {
  readonly name: string;
  readonly dataDir: string;
  readonly workers: Workers;
  /** 0: any. */
  readonly port?: number;
  /** Where timed workers write how many sentences they began. */
  readonly countsDir?: string;
  readonly flags?: ServeFlags;
}

export type ServeJobs = (spec: ServeSpec) => Promise<ServerTree>;
