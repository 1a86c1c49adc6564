/** The Open Inference Protocol v2 over gRPC: one raw tensor both ways, with gRPC's own client. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { GrpcClient } from "../../support/grpc-client.js";
import { anywhere } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  modelOf,
  type Outcome,
  Refused,
} from "./driver.js";
import { pairsOf } from "./world.js";

const oneTensor = "a request is one tensor, and fails as one";

export const inferenceV2Grpc: FrontDriver<"infer"> = {
  title: "Open Inference Protocol v2, gRPC",
  client: "@grpc/grpc-js, with raw tensors",
  task: "infer",
  options: { grpcPort: 0 },
  cells: {
    ...anywhere,
    numbers: { how: "the bytes of the float32 themselves" },
    order: { how: "rows of the outputs are those of the inputs" },
    badInput: {
      how: `\`INVALID_ARGUMENT\`: ${oneTensor}`,
      fails: "together",
      says: "INVALID_ARGUMENT",
    },
    tooLong: {
      how: `\`INVALID_ARGUMENT\`: ${oneTensor}`,
      fails: "together",
      says: "INVALID_ARGUMENT",
    },
    unknownModel: { how: "`NOT_FOUND`", says: "NOT_FOUND" },
    malformed: { how: "`INVALID_ARGUMENT`; the connection stays", says: "INVALID_ARGUMENT" },
    manyCallers: { how: "a connection each" },
    company: { how: "rows of requests whose tensors have the same shape but for the first axis" },
    callerGone: { how: "the stream of the call is reset, or the connection ends" },
    cancel: { how: "the call is cancelled; `CANCELLED`" },
    queueFull: { how: "`RESOURCE_EXHAUSTED` with `retry-after`", says: "RESOURCE_EXHAUSTED" },
    deadline: {
      how: "the call's own deadline; `DEADLINE_EXCEEDED`",
      by: "caller",
      fails: "together",
      says: "DEADLINE_EXCEEDED",
    },
    notReady: { how: "`UNAVAILABLE` with `retry-after`", says: "UNAVAILABLE" },
    draining: { how: "`UNAVAILABLE`", says: "UNAVAILABLE" },
    unauthenticated: { how: "`UNAUTHENTICATED`", says: "UNAUTHENTICATED" },
  },
  open: (server, { key }) =>
    Promise.resolve(
      new V2GrpcClient(server.otherUrls.find((url) => url.startsWith("grpc")) ?? "", key),
    ),
};

class V2GrpcClient implements FrontClient<"infer"> {
  readonly #client: GrpcClient;
  readonly #metadata: Readonly<Record<string, string>>;

  constructor(url: string, key: string | null) {
    this.#client = new GrpcClient(url);
    this.#metadata = key === null ? {} : { authorization: `Bearer ${key}` };
  }

  async ask(
    rows: readonly (readonly number[])[],
    { model = modelOf.infer, timeoutMs, leave, cancel }: AskOptions = {},
  ): Promise<readonly Outcome<"infer">[]> {
    const width = Math.max(...rows.map((row) => row.length));
    const flat = rows.flatMap((row) => Array.from({ length: width }, (_, at) => row[at] ?? 0));
    leave?.addEventListener("abort", () => this.#client[Symbol.dispose](), { once: true });
    const request = {
      model_name: model,
      inputs: [{ name: "at", datatype: "INT64", shape: [rows.length, width] }],
      outputs: [{ name: "found" }],
      raw_input_contents: [Buffer.from(BigInt64Array.from(flat.map(BigInt)).buffer)],
    };
    const signal = leave ?? cancel;
    const { reply } = await told(
      this.#client.call("ModelInfer", request, {
        metadata: this.#metadata,
        ...(timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs }),
        ...(signal === undefined ? {} : { signal }),
      }),
    );
    const [bytes = Buffer.alloc(0)] = reply["raw_output_contents"] as Buffer[];
    return pairsOf([...new Float32Array(Uint8Array.from(bytes).buffer)]);
  }

  malformed(): Promise<unknown> {
    return told(
      this.#client.callBytes("ModelInfer", Buffer.from([0xff, 0xff]), { metadata: this.#metadata }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await Promise.resolve();
  }
}

async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { code, details } = error as ServiceError;
    throw new Refused(status[code] ?? String(code), details);
  }
}
