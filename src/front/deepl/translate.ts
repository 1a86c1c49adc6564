/** `POST /v2/translate`: texts and languages, as JSON or as a form, → translations in their order. */
import { z } from "zod";
import type { Exchange, RouteDoc } from "../../listen/http/http-front.js";
import type { SubmitOutcome } from "../../submit/submit.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { badField } from "../../work/fields.js";
import { askEach, valueOf } from "../ask.js";
import { readForm } from "../form.js";
import type { FrontParts } from "../front.js";
import { type ReadBody, readAs, schemaOf, textOrTexts, withJson } from "../json-body.js";
import { mediaTypeOf } from "../media-type.js";
import { renamedFields } from "../renamed-fields.js";
import { withBody } from "../with-body.js";
import { codeOf, modelBetween } from "./languages.js";
import { withoutLineBreaks } from "./line-breaks.js";
import { translationModels } from "./models.js";

/** A form has no other types than texts; JSON clients send what they like. */
const flag = z.union([z.boolean(), z.literal([0, 1, "0", "1", "true", "false"])]);
const ignored = z.unknown().optional().meta({ description: "Accepted, and not used." });
const refused = z
  .unknown()
  .optional()
  .meta({ description: "Refused unless empty: what it asks for is not done here." });

const request = z.strictObject({
  text: textOrTexts,
  target_lang: z.string().min(1).max(32),
  source_lang: z.string().max(32).nullish(),
  split_sentences: z
    .union([z.boolean(), z.literal([0, 1, "0", "1", "nonewlines"])])
    .nullish()
    .meta({
      description:
        "1: at line breaks and where sentences end. nonewlines: a single line break is a space. 0: each text is one sentence. Default: 1.",
    }),
  formality: z
    .enum(["default", "prefer_more", "prefer_less", "more", "less"])
    .nullish()
    .meta({ description: "`more` and `less` are refused: no model here knows them." }),
  show_billed_characters: flag.nullish(),
  model_type: z
    .enum(["quality_optimized", "prefer_quality_optimized", "latency_optimized"])
    .nullish()
    .meta({ description: "Accepted; there is one model for a pair of languages." }),
  preserve_formatting: flag
    .nullish()
    .meta({ description: "Accepted: white space and line breaks are always kept." }),
  context: ignored,
  outline_detection: ignored,
  non_splitting_tags: ignored,
  splitting_tags: ignored,
  ignore_tags: ignored,
  tag_handling_version: ignored,
  enable_beta_languages: ignored,
  auth_key: ignored,
  tag_handling: refused,
  glossary_id: refused,
  glossary_ids: refused,
  style_id: refused,
  custom_instructions: refused,
  translation_memory_id: refused,
  translation_memory_threshold: ignored,
});

type TranslateRequest = z.infer<typeof request>;

const refusedFields = [
  "tag_handling",
  "glossary_id",
  "glossary_ids",
  "style_id",
  "custom_instructions",
  "translation_memory_id",
] as const;

const schema = schemaOf(request);
const formType = "application/x-www-form-urlencoded";

export const translateDoc: RouteDoc = {
  summary: "Translations, as DeepL's clients ask for them",
  request: { "application/json": schema, [formType]: schema },
  reply: {
    "application/json": {
      type: "object",
      required: ["translations"],
      properties: {
        translations: {
          type: "array",
          items: {
            type: "object",
            required: ["detected_source_language", "text"],
            properties: {
              detected_source_language: {
                type: "string",
                description:
                  "That of the request, or the only one of models for the target: nothing is detected.",
              },
              text: { type: "string" },
              billed_characters: { type: "integer", minimum: 0 },
            },
          },
        },
      },
    },
  },
};

export async function answerTranslate(exchange: Exchange, parts: FrontParts): Promise<void> {
  refuseWhileDraining(parts.views);
  if (mediaTypeOf(exchange) !== formType) {
    await withJson(exchange, request, (body) => translate(exchange, parts, body));
    return;
  }
  const form = { repeated: "text", repeatedMax: parts.options.requestInputsMax };
  await withBody(exchange, {
    read: (body) => ({ value: readAs(request, readForm(body.text(), form)), bytes: body.bytes }),
    answer: (body) => translate(exchange, parts, body),
  });
}

async function translate(
  exchange: Exchange,
  parts: FrontParts,
  { value: sent, bytes: payloadBytes }: ReadBody<TranslateRequest>,
): Promise<void> {
  refuseWhatChangesTheMeaning(sent);
  const source = sent.source_lang == null || sent.source_lang === "" ? null : sent.source_lang;
  const model = modelBetween(
    { source, target: sent.target_lang },
    translationModels(parts.views, exchange.caller),
  );
  const sentTexts = typeof sent.text === "string" ? [sent.text] : sent.text;
  const texts =
    sent.split_sentences === "nonewlines" ? sentTexts.map(withoutLineBreaks) : sentTexts;
  const detected = codeOf(source ?? model.sourceLanguage);
  const shows = isOn(sent.show_billed_characters);
  const translations: string[] = [];
  const onOutcome = ({ index, outcome }: SubmitOutcome): void => {
    const { values } = valueOf(outcome, `text[${index}]`);
    translations[index] = JSON.stringify({
      detected_source_language: detected,
      text: values["text"],
      ...(shows ? { billed_characters: charactersOf(sentTexts[index] ?? "") } : {}),
    });
  };
  try {
    await askEach(parts, exchange, {
      task: "translate",
      model: model.name,
      payloadBytes,
      fields: { texts, split: !isOff(sent.split_sentences) },
      onOutcome,
    });
  } catch (thrown) {
    throw renamedFields(thrown, [["texts", "text"]]);
  }
  const body = `{"translations":[${translations.join(",")}]}`;
  exchange.reply({ status: 200, contentType: "application/json", body });
}

/** @throws MillraceError `bad_request` */
function refuseWhatChangesTheMeaning(sent: TranslateRequest): void {
  for (const field of refusedFields) {
    const value = sent[field];
    const isNothing = value == null || value === "" || (Array.isArray(value) && value.length === 0);
    if (!isNothing) throw badField(field, "is not supported here; leave it out");
  }
  if (sent.formality === "more" || sent.formality === "less") {
    const cure = `\`prefer_${sent.formality}\` is taken and goes without`;
    throw badField("formality", `no model here can be asked for a tone; ${cure}`);
  }
}

function isOn(value: TranslateRequest["show_billed_characters"]): boolean {
  return value === true || value === 1 || value === "1" || value === "true";
}

function isOff(value: TranslateRequest["split_sentences"]): boolean {
  return value === false || value === 0 || value === "0";
}

/** Code points, as that protocol counts them. */
function charactersOf(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    // The second half of a pair: texts with lone halves were refused.
    if (unit < 0xdc00 || unit > 0xdfff) count += 1;
  }
  return count;
}
