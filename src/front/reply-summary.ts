import type { ReplySummary } from "millrace-client/wire";
import type { SubmitSummary } from "../submit/submit.js";
import type { FrontParts } from "./front.js";

/** Everything of a reply in Millrace's own words but its results. */
export function replySummary(
  id: string,
  { model, class: workClass, timings, pipelines }: SubmitSummary,
  { views }: Pick<FrontParts, "views">,
): ReplySummary {
  return { id, model, class: workClass, timings, pipelines, deployment: views.identity };
}
