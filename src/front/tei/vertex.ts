/** `/vertex`: Vertex AI's envelope around several requests for what the model is for. */
import { MillraceError } from "millrace-client/wire";
import type { z } from "zod";
import type { Asker } from "../../work/asker.js";
import { type BodyShape, usualBody } from "../../work/json-object.js";
import type { FrontParts } from "../front.js";
import { type ReadBody, readAs } from "../json-body.js";
import { renamedFields } from "../renamed-fields.js";
import { embed } from "./embed.js";
import {
  embedRequest,
  inputNames,
  predictRequest,
  rerankRequest,
  type VertexBody,
} from "./fields.js";
import { type TeiTask, teiModel } from "./model.js";
import { predict, rerank } from "./predict.js";
import type { TeiAnswer } from "./replies.js";

/** Each is a request of its own: so many may a stranger make of one. */
const instancesMax = 256;
/** A request has fewer than this; one key more is refused as one instance more is. */
const instanceKeysMax = 8;

export const vertexShape: BodyShape = {
  ...usualBody,
  keysMax: usualBody.keysMax + instancesMax * instanceKeysMax,
};

/** Calls submit for all of them before it waits. One that fails ends the others: there is no reply without all. */
export async function vertex(
  asker: Asker,
  parts: FrontParts,
  { value: { instances }, bytes }: ReadBody<VertexBody>,
): Promise<TeiAnswer> {
  if (instances.length > instancesMax) {
    const message = `${instances.length} instances; a request has at most ${instancesMax}`;
    throw new MillraceError("too_many_items", message, { param: "instances" });
  }
  const { task } = teiModel(parts, asker.caller);
  const told = (thrown: unknown, index: number): unknown =>
    placed(task === "rerank" ? thrown : renamedFields(thrown, inputNames), index);
  // Whatever is wrong with the last one is told before the first is asked for.
  const asks = instances.map((instance, index) => {
    try {
      return instanceAnswers[task](instance);
    } catch (thrown) {
      throw told(thrown, index);
    }
  });
  const failed = new AbortController();
  const { id, caller, arrivedAtMs } = asker;
  const departed = AbortSignal.any([asker.departed, failed.signal]);
  const own: Asker = { id, caller, arrivedAtMs, departed, workClass: "none" };
  const bytesEach = Math.ceil(bytes / Math.max(1, instances.length));
  const answer = async (ask: Ask, index: number): Promise<TeiAnswer> => {
    try {
      return await ask(own, parts, bytesEach);
    } catch (thrown) {
      throw told(thrown, index);
    }
  };
  try {
    const answers = await Promise.all(asks.map(answer));
    asker.workClass = own.workClass;
    return { body: `{"predictions":[${answers.map(({ body }) => body).join(",")}]}` };
  } catch (thrown) {
    failed.abort(thrown);
    throw thrown;
  }
}

type Ask = (asker: Asker, parts: FrontParts, bytes: number) => Promise<TeiAnswer>;

function answersOf<Value>(
  schema: z.ZodType<Value>,
  answer: (asker: Asker, parts: FrontParts, body: ReadBody<Value>) => Promise<TeiAnswer>,
): (instance: unknown) => Ask {
  return (instance) => {
    const value = readAs(schema, instance);
    return (asker, parts, bytes) => answer(asker, parts, { value, bytes });
  };
}

const instanceAnswers: Readonly<Record<TeiTask, (instance: unknown) => Ask>> = {
  embed: answersOf(embedRequest, embed),
  classify: answersOf(predictRequest, predict),
  rerank: answersOf(rerankRequest, rerank),
};

/** Says which instance it is about. */
function placed(thrown: unknown, index: number): unknown {
  if (!(thrown instanceof MillraceError)) return thrown;
  const { code, message, param, retryAfterMs } = thrown;
  const place = `instances[${index}]`;
  return new MillraceError(code, `${place}: ${message}`, {
    param: param === undefined ? place : `${place}.${param}`,
    cause: thrown,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
