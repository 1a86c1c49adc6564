/** A front's methods as the library calls them. */
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerDuplexStream,
  ServerWritableStream,
} from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { GrpcMessage, GrpcMethod, GrpcReplies } from "./grpc-front.js";
import { grpcStatusOf, metadataOf } from "./grpc-status.js";
import type { OpenCall } from "./open-call.js";
import type { UntakenReplies } from "./untaken-replies.js";

export interface HandlerParts {
  readonly replies: UntakenReplies;
  /** By what the library hands a handler of a call. */
  callOf(metadata: Metadata): OpenCall;
}

type Method<Kind extends GrpcMethod["kind"]> = Extract<GrpcMethod, { kind: Kind }>;

export type UnaryHandler = handleUnaryCall<Buffer, Uint8Array>;
export type ServerStreamHandler = handleServerStreamingCall<Buffer, Uint8Array>;
export type BothStreamHandler = handleBidiStreamingCall<Buffer, Uint8Array>;

export function unaryHandler(method: Method<"unary">, parts: HandlerParts): UnaryHandler {
  return (call, callback) => {
    const open = parts.callOf(call.metadata);
    const answer = async (): Promise<void> => {
      try {
        const bytes = await method.answer(open, open.message(call.request));
        if (open.ended) return;
        const taken = parts.replies.add(bytes.length, call.getPeer());
        call.once("cancelled", taken);
        call.sendMetadata(metadataOf(open.headers));
        open.end(status.OK);
        callback(null, bytes);
      } catch (thrown) {
        if (open.ended) return;
        const told = grpcStatusOf(open.told(thrown), open.headers);
        open.end(told.code);
        callback(told);
      }
    };
    void answer();
  };
}

export function serverStreamHandler(
  method: Method<"server-stream">,
  parts: HandlerParts,
): ServerStreamHandler {
  return (call) => {
    const open = parts.callOf(call.metadata);
    const message = open.message(call.request);
    void stream(call, { open, parts }, (replies) => method.stream(open, message, replies));
  };
}

export function bothStreamHandler(
  method: Method<"both-stream">,
  parts: HandlerParts,
): BothStreamHandler {
  return (call) => {
    const open = parts.callOf(call.metadata);
    const messages = messagesOf(call, open);
    void stream(call, { open, parts }, (replies) => method.converse(open, messages, replies));
  };
}

async function* messagesOf(
  call: ServerDuplexStream<Buffer, Uint8Array>,
  open: OpenCall,
): AsyncIterable<GrpcMessage> {
  try {
    // Else its end would end what is still to be written.
    const iterator = call.iterator({ destroyOnReturn: false });
    for await (const bytes of iterator) yield open.message(bytes as Buffer);
  } catch (error) {
    // It was destroyed because the caller left: there is nothing more to read, and nobody to tell.
    if (!open.ended) throw error;
  }
}

/** Headers at once, so that the caller knows who answers; then replies, then a status. */
async function stream(
  call: ServerWritableStream<Buffer, Uint8Array> | ServerDuplexStream<Buffer, Uint8Array>,
  { open, parts }: { readonly open: OpenCall; readonly parts: HandlerParts },
  run: (replies: GrpcReplies) => Promise<void>,
): Promise<void> {
  // A caller who leaves destroys the stream; `departed` has told whoever works for it.
  call.on("error", () => {});
  call.sendMetadata(metadataOf(open.headers));
  try {
    await run({ write: (bytes) => write(call, { open, parts, bytes }) });
    if (open.ended) return;
    open.end(status.OK);
    call.end();
  } catch (thrown) {
    if (open.ended) return;
    const told = grpcStatusOf(open.told(thrown), open.headers);
    open.end(told.code);
    call.emit("error", told);
  }
}

async function write(
  call: ServerWritableStream<Buffer, Uint8Array> | ServerDuplexStream<Buffer, Uint8Array>,
  {
    open,
    parts,
    bytes,
  }: { readonly open: OpenCall; readonly parts: HandlerParts; readonly bytes: Uint8Array },
): Promise<void> {
  if (open.ended) return;
  const taken = parts.replies.add(bytes.length, call.getPeer());
  await new Promise<void>((resolve) => {
    const done = (): void => {
      taken();
      open.departed.removeEventListener("abort", done);
      resolve();
    };
    open.departed.addEventListener("abort", done, { once: true });
    call.write(bytes, done);
  });
}
