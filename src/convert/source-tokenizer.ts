/** A Hugging Face folder's tokenizer.json, opened to see whether the server can use it. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape } from "../models/read-json.js";
import {
  createTokenizer,
  type HuggingFaceTokenizer,
} from "../prepare/text/huggingface-tokenizers.js";
import { messageOf } from "../work/thrown.js";

export const sourceTokenizerName = "tokenizer.json";

/**
 * Throws `model_folder_invalid` where what was read from `path` is no tokenizer, or has ids that the model's table
 * lacks: the server could not use the folder otherwise, and would be the first to say so.
 */
export function openTokenizer(
  path: string,
  json: object,
  vocabulary: number,
): HuggingFaceTokenizer {
  const tokenizer = makeTokenizer(path, json);
  let largest = -1;
  for (const id of tokenizer.get_vocab().values()) largest = Math.max(largest, id);
  if (largest < vocabulary) return tokenizer;
  const message = `${path} has the id ${largest}, but the model's vocabulary has ${vocabulary}`;
  throw new MillraceError("model_folder_invalid", message);
}

const addedSchema = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ id: z.int().nonnegative(), content: z.string() }))
    .nullish(),
});

function makeTokenizer(path: string, json: object): HuggingFaceTokenizer {
  checkShape(path, json, addedSchema);
  try {
    return createTokenizer(json, { clean_up_tokenization_spaces: false });
  } catch (cause) {
    const message = messageOf(cause);
    throw new MillraceError("model_folder_invalid", `${path} is no tokenizer: ${message}`, {
      cause,
    });
  }
}
