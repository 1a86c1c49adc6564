/**
 * What the listener and a front know of each other. A front has services, whose methods get bytes and give bytes; it never
 * sees a socket, a header or a status.
 */
import type { MillraceError } from "millrace-client/wire";
import type { Asker } from "../../work/asker.js";

export interface GrpcFront {
  readonly name: string;
  readonly services: readonly GrpcService[];
}

export interface GrpcService {
  /** With its package: `grpc.health.v1.Health`. */
  readonly name: string;
  /** Its `FileDescriptorProto`, for reflection. */
  readonly file: () => Uint8Array;
  readonly methods: readonly GrpcMethod[];
}

export type GrpcMethod = {
  readonly name: string;
  /** As of a route over HTTP. Default: `key`. */
  readonly access?: "open" | "key" | "admin";
  /** Of a message that is small where it makes sense. Default: `grpcMessageBytesMax`, which holds in any case. */
  readonly messageBytesMax?: number;
} & (
  | {
      readonly kind: "unary";
      answer(call: GrpcCall, message: GrpcMessage): Promise<Uint8Array>;
    }
  | {
      readonly kind: "server-stream";
      stream(call: GrpcCall, message: GrpcMessage, replies: GrpcReplies): Promise<void>;
    }
  | {
      readonly kind: "both-stream";
      converse(
        call: GrpcCall,
        messages: AsyncIterable<GrpcMessage>,
        replies: GrpcReplies,
      ): Promise<void>;
    }
);

/** One call. */
export interface GrpcCall extends Asker {
  /** From its arrival, as the caller's own deadline says; null: it named none. */
  readonly timeoutMs: number | null;
  /** Aborts when the caller leaves, cancels, or its deadline passes. */
  readonly departed: AbortSignal;
  /** Aborts when the server drains: a stream then ends as soon as what it has is answered. */
  readonly draining: AbortSignal;
  /** Counts the error, logs it where it is a bug, and gives what may be told: for errors inside a stream. */
  told(thrown: unknown): MillraceError;
}

export interface GrpcMessage {
  readonly bytes: Buffer;
  /**
   * It is not counted any more: it was refused, or `submit` counts what became of it. The next message of a stream comes
   * after that. Again: nothing.
   */
  release(): void;
}

export interface GrpcReplies {
  /** Resolves when the caller takes more, or has left. */
  write(bytes: Uint8Array): Promise<void>;
}
