/**
 * What tokenizer_config.json says over tokenizer.json. transformers makes BERT's normalizer anew where the two contradict each
 * other, and people change how a model treats capitals in the one file only.
 */
import { z } from "zod";
import { checkShape } from "../../models/read-json.js";
import { sourceTokenizerName } from "../source-tokenizer.js";
import { unsupported } from "./config.js";

export interface TokenizerSettings {
  readonly tokenizer_class?: string | null | undefined;
  readonly do_lower_case?: boolean | null | undefined;
  readonly strip_accents?: boolean | null | undefined;
  readonly tokenize_chinese_chars?: boolean | null | undefined;
  readonly truncation_side?: string | null | undefined;
}

const schema = z.looseObject({
  normalizer: z.looseObject({ type: z.string().nullish() }).nullish(),
  truncation: z.looseObject({ direction: z.string().nullish() }).nullish(),
});

/** transformers' classes that have a say, by name, or by the model where the file names none. */
const classes = /^(?:Bert|DistilBert|MPNet)Tokenizer(?:Fast)?$/;
const modelTypes: readonly string[] = ["bert", "distilbert", "mpnet"];

/** The same object where nothing differs. Throws `model_unsupported` where long texts would lose their beginning. */
export function withSettings(json: object, settings: TokenizerSettings, modelType: string): object {
  const { normalizer, truncation } = checkShape(sourceTokenizerName, json, schema);
  const side = settings.truncation_side ?? truncation?.direction?.toLowerCase() ?? "right";
  if (side !== "right") {
    const what = `a tokenizer that cuts long texts at the ${JSON.stringify(side.slice(0, 80))}`;
    throw unsupported(`${what} (truncation_side); known is right`);
  }
  const name = settings.tokenizer_class;
  const counts = name == null ? modelTypes.includes(modelType) : classes.test(name);
  if (!counts || normalizer?.type !== "BertNormalizer") return json;
  const said = Object.entries({
    lowercase: settings.do_lower_case ?? undefined,
    strip_accents: settings.strip_accents,
    handle_chinese_chars: settings.tokenize_chinese_chars ?? undefined,
  }).filter(([key, value]) => value !== undefined && value !== normalizer[key]);
  if (said.length === 0) return json;
  return { ...json, normalizer: { ...normalizer, ...Object.fromEntries(said) } };
}
