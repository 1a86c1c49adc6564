/**
 * Languages as DeepL's clients name them → the model that translates between them. A model says `en` and `zh`; clients say EN-GB,
 * ZH-HANS, PT-BR: a variant is served by a model of its language, but no other script than the model writes.
 */
import { MillraceError, type ModelInfo } from "millrace-client/wire";

type Languages = Pick<ModelInfo, "sourceLanguage" | "targetLanguage">;

/** A model that says from which language to which it translates. */
export type LanguageModel = Pick<ModelInfo, "name" | "ready"> & {
  readonly [Key in keyof Languages]-?: string;
};

export interface AskedLanguages {
  readonly source: string | null;
  readonly target: string;
}

/**
 * The best fit; of equal ones the first that is ready. Without a source: the only one that models have for the target.
 *
 * @throws MillraceError `bad_request` naming what there is
 */
export function modelBetween(
  { source, target }: AskedLanguages,
  models: readonly LanguageModel[],
): LanguageModel {
  const toTarget = models.filter((model) => fit(target, model.targetLanguage) > 0);
  if (toTarget.length === 0) throw refusal(`target_lang ${shown(target)}`, "target_lang", models);
  if (source === null) {
    const sources = new Set(toTarget.map((model) => codeOf(model.sourceLanguage)));
    if (sources.size > 1) {
      const message = `\`source_lang\` is needed: nothing is detected here, and models for ${shown(target)} translate from ${[...sources].join(", ")}.`;
      throw new MillraceError("bad_request", message, { param: "source_lang" });
    }
  }
  const fits = (model: LanguageModel): number =>
    (source === null ? 1 : fit(source, model.sourceLanguage)) * fit(target, model.targetLanguage);
  const [best] = toTarget
    .filter((model) => fits(model) > 0)
    .toSorted(
      (left, right) => fits(right) - fits(left) || Number(right.ready) - Number(left.ready),
    );
  if (best !== undefined) return best;
  const pair = `source_lang ${shown(source ?? "")} with target_lang ${shown(target)}`;
  throw refusal(pair, "source_lang", models);
}

/** As a reply names a source language: without a region, in capitals. */
export function codeOf(language: string): string {
  return (normal(language).split("-", 1)[0] ?? "").toUpperCase();
}

/** As the client takes it for a target: those that it wants a variant of have theirs. */
export function targetCodesOf(language: string): readonly string[] {
  const code = normal(language);
  return (variants[code] ?? [code]).map((each) => each.toUpperCase());
}

export function languageNameOf(code: string): string {
  try {
    return names.of(code) ?? code;
  } catch {
    // No code that anybody agreed upon: models may say what they like.
    return code;
  }
}

const names = new Intl.DisplayNames("en", { type: "language" });

const variants: Readonly<Record<string, readonly string[]>> = {
  en: ["en-gb", "en-us"],
  pt: ["pt-pt", "pt-br"],
  zh: ["zh", "zh-hans"],
};

/** The same in other words. */
const synonyms: Readonly<Record<string, string>> = {
  "zh-cn": "zh-hans",
  "zh-tw": "zh-hant",
  nb: "no",
};

function normal(language: string): string {
  const code = language.trim().toLowerCase().replaceAll("_", "-");
  return synonyms[code] ?? code;
}

/** 0: not at all; 2: in region and script as well. */
function fit(asked: string, served: string): 0 | 1 | 2 {
  const [left, right] = [normal(asked), normal(served)];
  if (left === right) return 2;
  // A model that says nothing of the script writes the simplified one.
  if (left.endsWith("-hant") !== right.endsWith("-hant")) return 0;
  const [language, region] = left.split("-");
  const [other, otherRegion] = right.split("-");
  return language === other && (region === undefined || otherRegion === undefined) ? 1 : 0;
}

const listedMax = 20;

function refusal(what: string, param: string, models: readonly LanguageModel[]): MillraceError {
  const pairs = models.map(
    (each) => `${codeOf(each.sourceLanguage)} to ${normal(each.targetLanguage).toUpperCase()}`,
  );
  const all = [...new Set(pairs)];
  const more = all.length > listedMax ? `, and ${all.length - listedMax} more` : "";
  const listed = all.length === 0 ? "none" : `${all.slice(0, listedMax).join(", ")}${more}`;
  const message = `No model is served for ${what}; there are: ${listed}.`;
  return new MillraceError("bad_request", message, { param });
}

function shown(language: string): string {
  return JSON.stringify(language.slice(0, 32));
}
