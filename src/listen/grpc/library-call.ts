/** The one place that knows the inside of `@grpc/grpc-js`: a call as the library's server holds it. */
import type { ServerHttp2Stream } from "node:http2";
import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";

export type SentStatus = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

/** Calls `listener` for each chunk of a message, which the library tells of only when it is whole. */
export function whenBytesCome(call: ServerInterceptingCallInterface, listener: () => void): void {
  const { stream } = call as unknown as { readonly stream?: ServerHttp2Stream };
  if (stream === undefined) throw new Error("another version of grpc-js, with another inside");
  stream.on("data", listener);
}

/** What it refuses by itself, such as a message by its length, passes no interceptor. */
export function amendStatus(
  call: ServerInterceptingCallInterface,
  amend: (told: SentStatus) => SentStatus,
): void {
  const sendStatus = call.sendStatus.bind(call);
  call.sendStatus = (told) => sendStatus(amend(told));
}
