/** The protocol's service over gRPC, each method of it in the words of v2-models.ts. */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import type {
  GrpcCall,
  GrpcFront,
  GrpcMessage,
  GrpcMethod,
  GrpcReplies,
} from "../../listen/grpc/grpc-front.js";
import { version } from "../../version.js";
import type { Asker } from "../../work/asker.js";
import type { Caller } from "../../work/caller.js";
import { endFailed } from "../../work/failed-span.js";
import { isJsonObject } from "../../work/payload.js";
import { grpcHealth } from "./grpc-health.js";
import {
  readInferMessage,
  requestIdIn,
  writeInferAnswer,
  writeStreamAnswer,
  writeStreamError,
} from "./grpc-infer.js";
import { inferenceProto } from "./inference-proto.js";
import { ProtoFile } from "./proto-file.js";
import {
  configOf,
  refuseLoadParameters,
  repositoryIndex,
  repositoryOf,
  statisticsOf,
} from "./triton-extensions.js";
import { extensions, onlyVersion, type V2Models } from "./v2-models.js";

const proto = new ProtoFile("inference.proto", inferenceProto);
const serviceName = "inference.GRPCInferenceService";
/** Of a message that only asks. */
const questionBytesMax = 64 * 1024;

export function inferenceGrpcFront(models: V2Models): GrpcFront {
  const methods = [
    ...questions(models),
    ...repositoryMethods(models),
    infer(models),
    streamInfer(models),
  ];
  const service = { name: serviceName, file: () => proto.bytes, methods };
  return { name: "inference-v2", services: [service, grpcHealth(models.parts.views, serviceName)] };
}

type Fields = Readonly<Record<string, unknown>>;

/** A message that asks, and one that says. */
function question(
  name: string,
  answer: (asked: Fields, caller: Caller) => object | Promise<object>,
  access: "open" | "key" | "admin" = "key",
): GrpcMethod {
  return {
    name,
    access,
    kind: "unary",
    messageBytesMax: questionBytesMax,
    answer: async ({ caller }, message) => {
      const asked = proto.decode(`${name}Request`, message.bytes);
      message.release();
      return proto.encode(`${name}Response`, { ...(await answer(asked, caller)) });
    },
  };
}

/** Answered from memory. */
function questions(models: V2Models): GrpcMethod[] {
  const { views } = models.parts;
  const modelOf = ({ name, version: asked }: Fields, caller: Caller): ModelInfo =>
    models.find(textOf(name), { caller, version: textOf(asked) });
  return [
    question("ServerLive", () => ({ live: true }), "open"),
    question("ServerReady", () => ({ ready: views.ready().ready }), "open"),
    question("ModelReady", (asked, caller) => ({ ready: modelOf(asked, caller).ready })),
    question("ServerMetadata", () => ({ name: "millrace", version, extensions })),
    question("ModelMetadata", (asked, caller) => models.metadataOf(modelOf(asked, caller))),
    question("ModelConfig", (asked, caller) => ({
      config: configOf(models, modelOf(asked, caller)),
    })),
    question("ModelStatistics", ({ name, version: asked }, caller) =>
      statisticsOf(models, textOf(name), { caller, version: textOf(asked) }),
    ),
    question("RepositoryIndex", ({ ready }, caller) => ({
      models: repositoryIndex(models, caller, ready === true),
    })),
  ];
}

/** For keys that may administrate. */
function repositoryMethods(models: V2Models): GrpcMethod[] {
  const readName = ({ model_name: name, parameters }: Fields): string => {
    refuseLoadParameters(isJsonObject(parameters) ? parameters : {});
    return textOf(name);
  };
  return [
    question(
      "RepositoryModelLoad",
      async (asked) => {
        await repositoryOf(models).load(readName(asked));
        return {};
      },
      "admin",
    ),
    question(
      "RepositoryModelUnload",
      (asked) => {
        repositoryOf(models).unload(readName(asked));
        return {};
      },
      "admin",
    ),
  ];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function infer(models: V2Models): GrpcMethod {
  return {
    name: "ModelInfer",
    kind: "unary",
    answer: (call, message) => answerInfer(models, call, message),
  };
}

async function answerInfer(
  models: V2Models,
  call: Asker & Pick<GrpcCall, "timeoutMs">,
  message: GrpcMessage,
): Promise<Uint8Array> {
  const payloadBytes = message.bytes.length;
  const takesFiles = (name: string): boolean => models.takesFiles(name);
  const read = await readInferMessage(message.bytes, { ...models.parts.options, takesFiles });
  const model = models.findForInfer(read.model, {
    caller: call.caller,
    version: read.version,
  });
  const timeoutMs = Math.min(read.timeoutMs, call.timeoutMs ?? Infinity);
  // It calls submit before it waits, which has then admitted the bytes or refused them.
  const answer = models.infer(call, model, { ...read, timeoutMs, payloadBytes });
  message.release();
  const { id, isRaw } = read;
  const tensors = await answer;
  return writeInferAnswer({ model: model.name, version: onlyVersion, id, isRaw, tensors });
}

/** Requests of one stream that are under way at once; the next is read when one of them is answered. */
const underWayMax = 32;

/** Replies come as they are ready, each with its request's id; one that failed says so and ends nothing. */
function streamInfer(models: V2Models): GrpcMethod {
  return {
    name: "ModelStreamInfer",
    kind: "both-stream",
    converse: async (call, messages, replies) => {
      const underWay = new Set<Promise<void>>();
      for await (const message of untilDraining(messages, call.draining)) {
        const answered: Promise<void> = answerOne(models, { call, message, replies }).finally(() =>
          underWay.delete(answered),
        );
        underWay.add(answered);
        if (underWay.size >= underWayMax) await Promise.race(underWay);
      }
      await Promise.all(underWay);
      if (call.draining.aborted) {
        throw new MillraceError("draining", "the server is stopping and takes no new work");
      }
    },
  };
}

async function* untilDraining(
  messages: AsyncIterable<GrpcMessage>,
  draining: AbortSignal,
): AsyncIterable<GrpcMessage> {
  const iterator = messages[Symbol.asyncIterator]();
  let stop: () => void = () => {};
  const drained = new Promise<null>((resolve) => {
    stop = () => resolve(null);
    if (draining.aborted) stop();
    else draining.addEventListener("abort", stop, { once: true });
  });
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), drained]);
      if (next === null || next.done === true) return;
      yield next.value;
    }
  } finally {
    draining.removeEventListener("abort", stop);
  }
}

async function answerOne(
  models: V2Models,
  {
    call,
    message,
    replies,
  }: { readonly call: GrpcCall; readonly message: GrpcMessage; readonly replies: GrpcReplies },
): Promise<void> {
  const arrivedAtMs = performance.now();
  const leftMs =
    call.timeoutMs === null ? null : Math.max(0, call.timeoutMs - (arrivedAtMs - call.arrivedAtMs));
  const { id, caller, departed } = call;
  const span = call.span?.child("message", { atMs: arrivedAtMs }) ?? null;
  const of = { id, caller, span, departed, arrivedAtMs };
  const asked = { ...of, timeoutMs: leftMs, workClass: call.workClass };
  try {
    const bytes = await answerInfer(models, asked, message);
    await replies.write(writeStreamAnswer(bytes));
    span?.end();
  } catch (thrown) {
    message.release();
    endFailed(span, thrown);
    const { message: text } = call.told(thrown);
    await replies.write(writeStreamError(text, requestIdIn(message.bytes)));
  }
}
