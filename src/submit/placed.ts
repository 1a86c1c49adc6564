/** What became of some of a request's inputs, at the places that they have in the whole of it. */
import type { SubmitOutcome } from "./submit.js";

/**
 * `places`: by the number that an input has among those that were asked for. What an error says of it is said of its place too, as if all
 * had been asked for at once.
 */
export function placed(
  { index, outcome }: SubmitOutcome,
  places: readonly number[] | undefined,
): SubmitOutcome {
  const place = places?.[index];
  if (place === undefined) return { index, outcome };
  const param = "error" in outcome ? outcome.error.param : undefined;
  if (!("error" in outcome) || param?.includes(`[${index}]`) !== true)
    return { index: place, outcome };
  const renamed = param.replace(`[${index}]`, `[${place}]`);
  const message = outcome.error.message.replaceAll(param, renamed);
  return { index: place, outcome: { error: { ...outcome.error, message, param: renamed } } };
}
