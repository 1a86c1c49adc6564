/** Options of the gRPC listener. */
import type { OptionRows } from "./definition.js";

export interface GrpcOptions {
  /** Null: nobody is listened to over gRPC. */
  readonly grpcPort: number | null;
  readonly grpcMessageBytesMax: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

export const grpcOptions: OptionRows<GrpcOptions> = {
  grpcPort: {
    type: "integer",
    unit: "port",
    min: 0,
    max: 65_535,
    group: "gRPC",
    help: "Port for gRPC (the Open Inference Protocol's service, its health and its reflection); 0 takes a free one.",
    default: { value: null },
    hashed: false,
  },
  grpcMessageBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 1 * KiB,
    // A worker takes no frame over 64 MiB.
    max: 60 * MiB,
    group: "gRPC",
    help: "Bytes of one gRPC message, either way, after decompression; a longer one ends its call (RESOURCE_EXHAUSTED).",
    default: { value: 4 * MiB },
    hashed: true,
  },
};
