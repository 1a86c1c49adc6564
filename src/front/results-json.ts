/** A request in Millrace's own words whose reply is one, with everything: its results as JSON, in the order of the inputs. */
import type { GuardedRequest } from "../access/guarded-submit.js";
import type { SubmitSummary } from "../submit/submit.js";
import type { Asker } from "./ask.js";
import type { FrontParts, FrontTask } from "./front.js";
import { resultJson } from "./result-json.js";

export interface ResultsJson {
  /** A list. */
  readonly results: string;
  readonly summary: SubmitSummary;
}

/**
 * Calls submit before it waits, as a body that is released needs it.
 *
 * @throws MillraceError as `Submit.submit`
 */
export async function resultsJson(
  { submit, metrics }: Pick<FrontParts, "submit" | "metrics">,
  asker: Pick<Asker, "departed" | "workClass">,
  { request, task }: { readonly request: GuardedRequest; readonly task: FrontTask },
): Promise<ResultsJson> {
  // As text from the start: half of the memory, and no pause at the end in which all of them become text.
  const results: string[] = [];
  const summary = await submit.submit(request, asker.departed, {
    onOutcome: ({ index, outcome }) => {
      results[index] = resultJson(outcome, task);
    },
  });
  asker.workClass = summary.class;
  metrics.requestFinished(summary.class, summary.timings);
  for (let index = 0; index < summary.inputs; index++) {
    if (results[index] === undefined) throw new Error(`submit: no outcome for input ${index}`);
  }
  return { results: `[${results.join(",")}]`, summary };
}
