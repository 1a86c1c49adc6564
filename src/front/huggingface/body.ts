/** `{"inputs", "parameters", "options"}`, and what parameters may be called: some clients send them beside the inputs. */
import { z } from "zod";
import { badField, Fields, kindOf } from "../../work/fields.js";

export interface HuggingfaceBody {
  readonly inputs?: unknown;
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly options?: Readonly<Record<string, unknown>> | null | undefined;
}

const anything = z.record(z.string(), z.unknown()).nullish();

export const huggingfaceBody: z.ZodType<HuggingfaceBody> = z.looseObject({
  inputs: z.unknown().nonoptional({ error: "is missing" }).meta({
    description:
      "A text or a list of texts; `{text, text_pair}`; `{source_sentence, sentences}`; a picture in base64.",
  }),
  parameters: anything.meta({ description: "Those of the task." }),
  options: anything.meta({
    description: "Accepted, and not used: nothing is cached, and a model is waited for.",
  }),
});

/** What the client adds for its own sake. */
const beside: readonly string[] = ["inputs", "parameters", "options", "model", "provider"];

/**
 * Parameters of whatever place; null is left out. What is called otherwise is refused: its sender would never learn that it
 * did nothing.
 */
export function parametersOf(body: HuggingfaceBody, known: readonly string[]): Fields {
  const own = Object.entries(body).filter(([name]) => !beside.includes(name));
  const all = [...own, ...Object.entries(body.parameters ?? {})];
  const named = Object.fromEntries(all.filter(([, value]) => value !== null));
  const fields = new Fields(named);
  fields.refuseUnknown(known);
  return fields;
}

/** For each text a result; `isList`: the reply is a list of them, also of one. */
export interface ReadTexts {
  readonly texts: readonly unknown[];
  readonly isList: boolean;
}

/** What each of a list is, the task looks at. */
export function plainTextsOf(inputs: unknown): ReadTexts {
  if (typeof inputs === "string") return { texts: [inputs], isList: false };
  if (Array.isArray(inputs)) return { texts: inputs, isList: true };
  throw badField("inputs", `must be a text or a list of texts, not ${kindOf(inputs)}`);
}

/** The same, where an entry may also be `{text, text_pair}`. */
export function textsOrPairsOf(inputs: unknown): ReadTexts {
  if (!Array.isArray(inputs)) {
    const isPair = typeof inputs === "object" && inputs !== null;
    return isPair ? { texts: [pairOf(inputs)], isList: false } : plainTextsOf(inputs);
  }
  return { texts: inputs.map((each: unknown) => pairOf(each)), isList: true };
}

function pairOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { text, text_pair: second } = value as { text?: unknown; text_pair?: unknown };
  return second === undefined ? text : [text, second];
}

/** `null` where they are something else than the sentences of a comparison. */
export function comparedOf(inputs: unknown): readonly unknown[] | null {
  if (typeof inputs !== "object" || inputs === null || Array.isArray(inputs)) return null;
  const { source_sentence: source, sentences } = inputs as Readonly<Record<string, unknown>>;
  if (source === undefined && sentences === undefined) return null;
  if (typeof source !== "string") {
    throw badField("inputs.source_sentence", `must be a text, not ${kindOf(source)}`);
  }
  if (!Array.isArray(sentences)) {
    throw badField("inputs.sentences", `must be a list of texts, not ${kindOf(sentences)}`);
  }
  return [source, ...(sentences as readonly unknown[])];
}
