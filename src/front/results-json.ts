/** A question whose reply in Millrace's own words is one, with everything: its results as JSON, in the order of the inputs. */
import type { SubmitSummary } from "../submit/submit.js";
import type { Asker } from "../work/asker.js";
import { askEach, type Question } from "./ask.js";
import type { FrontParts, FrontTask } from "./front.js";
import { resultSteps } from "./result-json.js";
import { TextTurns } from "./text-turns.js";

export interface ResultsJson {
  /** A list. */
  readonly results: string;
  readonly summary: SubmitSummary;
}

/** @throws MillraceError as `askEach` */
export async function resultsJson(
  parts: Pick<FrontParts, "submit" | "options" | "metrics">,
  asker: Asker,
  { question, task }: { readonly question: Question; readonly task: FrontTask },
): Promise<ResultsJson> {
  // As text from the start: half of the memory, and no pause at the end in which all of them become text.
  const results: string[] = [];
  using turns = new TextTurns();
  const summary = await askEach(parts, asker, {
    ...question,
    onOutcome: ({ index, outcome }) => {
      turns.add(resultSteps(outcome, task), (text) => {
        results[index] = text;
      });
    },
  });
  await turns.end();
  return { results: `[${results.join(",")}]`, summary };
}
