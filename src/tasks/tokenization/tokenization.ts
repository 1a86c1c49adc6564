/**
 * The tasks `tokenize` and `detokenize`: texts → the tokens that a model reads, and back. Every model that reads text serves
 * them beside its own task, in prepare alone.
 */
import { MillraceError } from "millrace-client/wire";
import { heldBytes, readList, readTexts, readTokenIds } from "../../prepare/text/read-texts.js";
import type { TokenTexts } from "../../prepare/text/token-texts.js";
import { Fields } from "../../work/fields.js";
import { type JsonObject, type Payload, valuesOnly } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import type { JoinParts, Task, TaskModel } from "../task.js";
import { detokenizeSchema, tokenizeSchema } from "./schema.js";

export const tokenizing: Task<string> = {
  name: "tokenize",
  inputFields: ["texts"],
  fields: ["texts", "addSpecial"],
  schema: tokenizeSchema,
  read(body, { requestInputsMax }) {
    const fields = new Fields(body);
    const addSpecial = fields.flag("addSpecial") ?? true;
    const inputs = readTexts(fields.value("texts"), "texts", requestInputsMax);
    return { inputs, settings: { addSpecial }, bytes: heldBytes(inputs) };
  },
  lend: ({ tokens }) => (tokens === undefined ? null : new TokenizingModel(tokens)),
  open: ({ manifest }) => noModelOf(manifest.task),
};

export const detokenizing: Task<readonly number[]> = {
  name: "detokenize",
  inputFields: ["tokenIds"],
  fields: ["tokenIds", "skipSpecial"],
  schema: detokenizeSchema,
  read(body, { requestInputsMax }) {
    const fields = new Fields(body);
    const skipSpecial = fields.flag("skipSpecial") ?? true;
    const lists = readList(fields.value("tokenIds"), "tokenIds", requestInputsMax);
    const inputs = lists.map((ids, index) => readTokenIds(ids, `tokenIds[${index}]`));
    return { inputs, settings: { skipSpecial }, bytes: heldBytes(inputs) };
  },
  lend: ({ tokens }) => (tokens === undefined ? null : new DetokenizingModel(tokens)),
  open: ({ manifest }) => noModelOf(manifest.task),
};

function noModelOf(task: string): Promise<never> {
  const message = `no model is for ${task} alone: every model that reads text serves it`;
  return Promise.reject(new MillraceError("model_folder_invalid", message));
}

interface At {
  readonly index: number;
  readonly settings: JsonObject;
}

/** What both have in common: no engine answers. */
abstract class TokenModel<Input> implements TaskModel<Input> {
  protected readonly texts: TokenTexts;

  constructor(texts: TokenTexts) {
    this.texts = texts;
  }

  complete(settings: JsonObject): JsonObject {
    return settings;
  }

  abstract weigh(input: Input): number;

  abstract steps(input: Input, at: At): Iterable<PrepareStep>;

  checkResult(): string | null {
    return "nothing of this task is run";
  }

  abstract join(parts: JoinParts): Payload;
}

class TokenizingModel extends TokenModel<string> {
  weigh(text: string): number {
    return this.texts.weighText(text);
  }

  steps(text: string, { index, settings: { addSpecial } }: At): Iterable<PrepareStep> {
    return this.texts.tokenize(text, {
      param: `texts[${index}]`,
      addSpecial: addSpecial === true,
    });
  }

  join({ note }: JoinParts): Payload {
    return valuesOnly({ tokens: this.texts.tokensOf(note) });
  }
}

class DetokenizingModel extends TokenModel<readonly number[]> {
  weigh(tokenIds: readonly number[]): number {
    return this.texts.weighIds(tokenIds);
  }

  steps(
    tokenIds: readonly number[],
    { index, settings: { skipSpecial } }: At,
  ): Iterable<PrepareStep> {
    return this.texts.detokenize(tokenIds, {
      param: `tokenIds[${index}]`,
      skipSpecial: skipSpecial === true,
    });
  }

  join({ note }: JoinParts): Payload {
    return valuesOnly({ text: this.texts.textOf(note) });
  }
}
