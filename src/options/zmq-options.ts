/** Options of every protocol over ZeroMQ; each protocol's own stand in a file of its name. */
import type { OptionRows } from "./definition.js";

export interface ZmqOptions {
  readonly zmqHost: string;
  /** A file of both CURVE keys; null: whatever is sent is readable on the way. */
  readonly zmqCurveSecretKeyFile: string | null;
  readonly zmqRequestsMax: number;
  readonly zmqRepliesBytesMax: number;
  readonly zmqTopicBytesMax: number;
  readonly zmqHoldMs: number;
}

const MiB = 1024 * 1024;

export const zmqOptions: OptionRows<ZmqOptions> = {
  zmqHost: {
    type: "text",
    group: "ZeroMQ",
    help: "Address that protocols over ZeroMQ listen on. Any other than this machine's own needs CURVE, or `insecure`.",
    default: { value: "127.0.0.1" },
    hashed: false,
  },
  zmqCurveSecretKeyFile: {
    type: "path",
    what: "file",
    group: "ZeroMQ",
    help: "File with the server's CURVE keys, which is made where there is none; the public one, which clients need, is logged at the start. Clients that know no CURVE, unmodified ones of bert-as-service among them, can then not connect.",
    default: { value: null },
    hashed: false,
  },
  zmqRequestsMax: {
    type: "integer",
    unit: "requests",
    min: 1,
    max: 1_000_000,
    group: "ZeroMQ",
    help: "Requests of one protocol over ZeroMQ that may be unanswered at a time.",
    default: { value: 10_000 },
    hashed: true,
  },
  zmqRepliesBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 1 * MiB,
    max: 64 * 1024 * MiB,
    group: "ZeroMQ",
    help: "Bytes of replies of one protocol over ZeroMQ that wait for their readers; one reply always fits.",
    default: { value: 128 * MiB },
    hashed: true,
  },
  zmqTopicBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 64 * 1024,
    max: 64 * 1024 * MiB,
    group: "ZeroMQ",
    help: "Of these, bytes of replies for one identity; one reply always fits.",
    default: { value: 64 * MiB },
    hashed: true,
  },
  zmqHoldMs: {
    type: "integer",
    unit: "ms",
    min: 1,
    max: 3_600_000,
    group: "ZeroMQ",
    help: "How long a reply over ZeroMQ waits for a subscription to it; who has not subscribed by then has left.",
    default: { value: 10_000 },
    hashed: true,
  },
};
