/** Messages of gRPC, by every method that answers one: protobuf that is cut, lies about lengths, or is another message. */
import { readFileSync } from "node:fs";
import protobuf from "protobufjs";
import { inferenceGrpcFront } from "#src/front/inference-v2/grpc-front.js";
import { V2Models } from "#src/front/inference-v2/v2-models.js";
import type { GrpcCall } from "#src/listen/grpc/grpc-front.js";
import { anyCaller } from "#src/work/caller.js";
import { mutateBytes } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";
import { fuzzFrontParts } from "./fuzz-front-parts.js";

const text = Buffer.from("\u0005\0\0\0hello");
const input = { name: "text", datatype: "BYTES", shape: [1] };
const settings = { priority: { int64_param: 1 }, normalize: { bool_param: true } };

const messages: readonly (readonly [type: string, message: object])[] = [
  ["ModelInferRequest", { model_name: "embed", inputs: [input], raw_input_contents: [text] }],
  [
    "ModelInferRequest",
    {
      model_name: "embed",
      id: "7",
      parameters: settings,
      outputs: [{ name: "embedding" }],
      inputs: [
        {
          ...input,
          shape: [2],
          contents: { bytes_contents: [Buffer.from("a"), Buffer.from("é")] },
        },
      ],
    },
  ],
  ["ModelMetadataRequest", { name: "embed", version: "1" }],
  ["ModelReadyRequest", { name: "none" }],
  ["RepositoryIndexRequest", { ready: true }],
  ["ServerLiveRequest", {}],
];

interface Sent {
  readonly method: number;
  readonly bytes: Buffer;
}

export const grpcParser: FuzzParser = defineParser<Sent>({
  name: "grpc-messages",
  open: () => {
    const { root } = protobuf.parse(readFileSync("docs/clients/inference.proto", "utf8"), {
      keepCase: true,
    });
    const good = messages.map(([name, message]) => {
      const type = root.lookupType(`inference.${name}`);
      return Buffer.from(type.encode(type.fromObject(message)).finish());
    });
    const methods = inferenceGrpcFront(new V2Models(fuzzFrontParts()))
      .services.flatMap((service) => service.methods)
      .flatMap((method) => (method.kind === "unary" ? [method] : []));
    const infer = methods.findIndex(({ name }) => name === "ModelInfer");
    return {
      make: (random) => {
        if (random.chance(goodShare))
          return { method: infer, bytes: random.pick(good.slice(0, 2)) };
        const bytes = mutateBytes(random, random.pick(good), good);
        return { method: random.chance(0.7) ? infer : random.int(0, methods.length - 1), bytes };
      },
      take: async ({ method, bytes }) => {
        await methods[method]?.answer(callOf(), { bytes: Buffer.from(bytes), release: () => {} });
      },
    };
  },
});

function callOf(): GrpcCall {
  const never = new AbortController().signal;
  return {
    id: "1",
    caller: anyCaller,
    arrivedAtMs: performance.now(),
    timeoutMs: null,
    departed: never,
    draining: never,
    workClass: "none",
    told: (thrown) => {
      throw thrown;
    },
  };
}
