/** What is said on standard error when all is done. */
import type { EachSummary } from "millrace-client";

export interface RunFacts extends Omit<EachSummary, "inputs"> {
  /** Entries of this run, those included that were not sent. */
  readonly total: number;
  readonly elapsedMs: number;
  /** What one of them is called: `sentence`. */
  readonly unit: string;
  /** Entries that an earlier run had done; null where a run never goes on. */
  readonly kept: number | null;
  /** Files that are no pictures; null where there are no files. */
  readonly skipped: number | null;
}

/** Its first lines are what the seeds' client printed. */
export function summaryText(facts: RunFacts, json: boolean): string {
  const { total, requests, pipelines, failed, unit, kept, skipped } = facts;
  const totalMs = Number(facts.elapsedMs.toFixed(3));
  const perItemMs = total === 0 ? 0 : Number((totalMs / total).toFixed(3));
  const perSecond = totalMs === 0 ? 0 : Number(((total * 1000) / totalMs).toFixed(1));
  const added = { ...(kept === null ? {} : { kept }), ...(skipped === null ? {} : { skipped }) };
  if (json) {
    const sums = { total, failed, ...added, requests, pipelines, totalMs, perItemMs, perSecond };
    return `${JSON.stringify(sums)}\n`;
  }
  const perPipeline = Object.entries(pipelines).map(([id, items]) => `${id}: ${items}`);
  return [
    `total: ${total}`,
    `requests: ${requests}`,
    // Of a durable job nobody knows.
    ...(perPipeline.length === 0 ? [] : [`items per pipeline: ${perPipeline.join(", ")}`]),
    `time in all: ${totalMs} ms`,
    `time per ${unit}: ${perItemMs} ms`,
    `${unit}s per second: ${perSecond}`,
    ...Object.entries(added).map(([name, value]) => `${name}: ${value}`),
    `failed: ${failed}`,
    "",
  ].join("\n");
}
