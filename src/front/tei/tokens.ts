/** `/tokenize` and `/decode`: what the model reads of a text, and back. */
import { MillraceError } from "millrace-client/wire";
import type { Asker } from "../../work/asker.js";
import { badField, kindOf } from "../../work/fields.js";
import { isJsonObject, type JsonValue } from "../../work/payload.js";
import { ask, askEach, valueOf, valuesOf } from "../ask.js";
import type { FrontParts } from "../front.js";
import type { ReadBody } from "../json-body.js";
import { type DecodeBody, refusePrompt, type TokenizeBody } from "./fields.js";
import { teiModel } from "./model.js";
import type { TeiAnswer } from "./replies.js";

export async function tokenize(
  asker: Asker,
  parts: FrontParts,
  { value, bytes }: ReadBody<TokenizeBody>,
): Promise<TeiAnswer> {
  refusePrompt(value.prompt_name);
  const { inputs, add_special_tokens: addSpecial = true } = value;
  const texts = typeof inputs === "string" ? [inputs] : inputs;
  // As text from the start, while others are still read: all of them at once would hold everybody for a third of a second.
  const lists: string[] = [];
  await askEach(parts, asker, {
    task: "tokenize",
    model: teiModel(parts, asker.caller).name,
    fields: { texts, addSpecial },
    payloadBytes: bytes,
    onOutcome: ({ index, outcome }) => {
      const { values } = valueOf(outcome);
      lists[index] = JSON.stringify(withSlices(values["tokens"], texts[index] ?? ""));
    },
  });
  return { body: `[${lists.join(",")}]` };
}

/** A token's text is there what stands in the input, and not what the vocabulary has. */
function withSlices(tokens: JsonValue | undefined, text: string): readonly JsonValue[] {
  if (!Array.isArray(tokens)) throw new Error("tokenize: a result without its tokens");
  const characters = Array.from(text);
  return (tokens as readonly JsonValue[]).map((token) => {
    if (!isJsonObject(token)) return token;
    const { start, stop } = token;
    if (typeof start !== "number" || typeof stop !== "number") return token;
    return { ...token, text: characters.slice(start, stop).join("") };
  });
}

export async function decode(
  asker: Asker,
  parts: FrontParts,
  { value, bytes }: ReadBody<DecodeBody>,
): Promise<TeiAnswer> {
  const { ids, skip_special_tokens: skipSpecial = true } = value;
  if (!Array.isArray(ids)) throw badField("ids", `must be a list, not ${kindOf(ids)}`);
  const list: readonly unknown[] = ids;
  if (list.length === 0) {
    throw new MillraceError("input_empty", "`ids` cannot be empty", { param: "ids" });
  }
  const answer = await ask(parts, asker, {
    task: "detokenize",
    model: teiModel(parts, asker.caller).name,
    fields: { tokenIds: Array.isArray(list[0]) ? list : [list], skipSpecial },
    payloadBytes: bytes,
  });
  return { body: JSON.stringify(valuesOf(answer).map(({ values }) => values["text"])) };
}
