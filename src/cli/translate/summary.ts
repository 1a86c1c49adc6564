/** What is said on standard error when all is done: the lines that failed, and the sum. */
import type { TranslateOutcome } from "millrace-client";
import { errorText } from "../program.js";
import type { TranslatedLines } from "./requests.js";

/** How many there were. */
export function reportFailures(results: readonly (TranslateOutcome | null)[]): number {
  let failed = 0;
  for (const [index, result] of results.entries()) {
    if (result === null || !("error" in result)) continue;
    failed += 1;
    const { code, message } = result.error;
    process.stderr.write(errorText({ code, message: `line ${index + 1}: ${message}` }));
  }
  return failed;
}

export interface RunFacts {
  readonly elapsedMs: number;
  readonly failed: number;
  readonly json: boolean;
}

/** What the seeds' client printed. */
export function summaryText(
  { results, requests, pipelines }: TranslatedLines,
  { elapsedMs, failed, json }: RunFacts,
): string {
  const total = results.length;
  const totalMs = Number(elapsedMs.toFixed(3));
  const perItemMs = total === 0 ? 0 : Number((totalMs / total).toFixed(3));
  const items = Object.fromEntries(pipelines);
  if (json) {
    return `${JSON.stringify({ total, failed, requests, pipelines: items, totalMs, perItemMs })}\n`;
  }
  const perPipeline = Object.entries(items).map(([id, n]) => `${id}: ${n}`);
  return [
    `total: ${total}`,
    `requests: ${requests}`,
    `items per pipeline: ${perPipeline.join(", ")}`,
    `time in all: ${totalMs} ms`,
    `time per sentence: ${perItemMs} ms`,
    `failed: ${failed}`,
    "",
  ].join("\n");
}
