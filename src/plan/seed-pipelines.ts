/** Pipelines as the seeds had them: what their router is measured with. */
import type { PipelineKind } from "millrace-client/wire";
import type { PolicyName } from "../scheduler/policy.js";

/**
 * The seeds had four for realtime where there was no bulk, else half of them for each; the other policies share theirs. A server
 * insists on pipelines for both classes: where no bulk comes, shared ones are realtime's, all of them.
 */
export function pipelinesOf(
  policy: PolicyName,
  pipelines: number,
  hasBulk: boolean,
): readonly PipelineKind[] {
  const isApart = policy === "seed-router" && hasBulk;
  return Array.from({ length: pipelines }, (_, at) => {
    if (!isApart) return "shared";
    return at % 2 === 1 ? "bulk" : "realtime";
  });
}
