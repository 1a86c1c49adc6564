/** Pipelines as the seeds had them, served and simulated alike: what their router is measured with. */
import type { PipelineKind } from "millrace-client/wire";
import type { PolicyName } from "#src/scheduler/policy.js";
import { type Layout, readLayout } from "../serving/layouts.js";

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

/** The same, as a server is told. */
export function layoutOf(policy: PolicyName, pipelines: number, hasBulk: boolean): Layout {
  const kinds = pipelinesOf(policy, pipelines, hasBulk);
  const bulk = kinds.filter((kind) => kind === "bulk").length;
  return readLayout(bulk === 0 ? String(pipelines) : `${pipelines - bulk}+${bulk}`);
}
