/** `ModelInfer` with texts as BYTES, by gRPC's own client: one channel for all callers, which is how its clients share one. */
import { GrpcClient } from "../../../test/support/grpc-client.js";
import type { Driver, DriverTarget } from "../drivers.js";

export function grpcDriver({ ports, model }: DriverTarget): Promise<Driver> {
  const client = new GrpcClient(`grpc://127.0.0.1:${ports["grpcPort"]}`);
  return Promise.resolve({
    textsMax: 1_024,
    send: async (_caller, texts) => {
      const { reply } = await client.call("ModelInfer", {
        model_name: model,
        inputs: [{ name: "text", datatype: "BYTES", shape: [texts.length] }],
        raw_input_contents: [bytesOf(texts)],
      });
      const [output] = reply["outputs"] as readonly { readonly shape: readonly unknown[] }[];
      return Number(output?.shape[0] ?? 0);
    },
    [Symbol.asyncDispose]: () => {
      client[Symbol.dispose]();
      return Promise.resolve();
    },
  });
}

/** Each text behind its length. */
function bytesOf(texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}
