/** Pipelines as the seeds had them (src/plan/seed-pipelines.ts), as a server is told. */
import { pipelinesOf } from "#src/plan/seed-pipelines.js";
import type { PolicyName } from "#src/scheduler/policy.js";
import { type Layout, readLayout } from "../serving/layouts.js";

export function layoutOf(policy: PolicyName, pipelines: number, hasBulk: boolean): Layout {
  const kinds = pipelinesOf(policy, pipelines, hasBulk);
  const bulk = kinds.filter((kind) => kind === "bulk").length;
  return readLayout(bulk === 0 ? String(pipelines) : `${pipelines - bulk}+${bulk}`);
}
