/** Options of the protocol of bert-as-service; in a section `bert` of the file also by the names that they have there. */
import type { OptionRows } from "./definition.js";

export interface BertOptions {
  /** Null: the protocol is not spoken over ZeroMQ. */
  readonly bertPort: number | null;
  readonly bertPortOut: number | null;
  readonly bertHttp: boolean;
  /** Null: the only model that embeds. */
  readonly bertModel: string | null;
  /** 0: as long as the longest text of a request. */
  readonly bertMaxSeqLen: number;
  readonly bertPoolingStrategy: BertPoolingStrategy;
  readonly bertPoolingLayer: number;
  readonly bertMaskClsSep: boolean;
  readonly bertShowTokensToClient: boolean;
  readonly bertFixedEmbedLength: boolean;
  readonly bertPriorityBatchSize: number;
  readonly bertMaxBatchSize: number;
  readonly bertTerminate: boolean;
}

const bertPoolingStrategies = [
  "NONE",
  "REDUCE_MEAN",
  "REDUCE_MAX",
  "REDUCE_MEAN_MAX",
  "CLS_TOKEN",
  "FIRST_TOKEN",
  "SEP_TOKEN",
  "LAST_TOKEN",
] as const;

export type BertPoolingStrategy = (typeof bertPoolingStrategies)[number];

const port = {
  type: "integer",
  unit: "port",
  min: 0,
  max: 65_535,
  group: "bert-as-service",
} as const;
const flag = {
  type: "flag",
  group: "bert-as-service",
  default: { value: false },
  hashed: true,
} as const;

export const bertOptions: OptionRows<BertOptions> = {
  bertPort: {
    ...port,
    help: "Port where bert-as-service's clients send, usually 5555; 0 picks a free one. Together with bert-port-out.",
    default: { value: null },
    hashed: false,
  },
  bertPortOut: {
    ...port,
    help: "Port where they receive, usually 5556; 0 picks a free one.",
    default: { value: null },
    hashed: false,
  },
  bertHttp: {
    ...flag,
    help: "Speak bert-as-service's HTTP too, on the main port: /encode, /status/server and /status/client.",
  },
  bertModel: {
    type: "text",
    group: "bert-as-service",
    help: "Model that answers bert-as-service's clients, whose protocol has no name for one.",
    default: { value: null },
    hashed: true,
  },
  bertMaxSeqLen: {
    type: "integer",
    unit: "tokens",
    min: 0,
    max: 1_000_000,
    none: 0,
    group: "bert-as-service",
    help: "Tokens of a text, special ones counted; longer ones are cut. 0 (null in a file): as many as the model takes, and rows as long as the request's longest.",
    default: { value: 25 },
    hashed: true,
  },
  bertPoolingStrategy: {
    type: "choice",
    choices: bertPoolingStrategies,
    group: "bert-as-service",
    help: "What becomes of the vectors of a text's tokens; NONE gives all of them.",
    default: { value: "REDUCE_MEAN" },
    hashed: true,
  },
  bertPoolingLayer: {
    type: "integer",
    unit: "layers from the end",
    min: -10_000,
    max: -1,
    group: "bert-as-service",
    whyOne: "the states of one layer are pooled here; several would be a longer vector",
    help: "Layer whose states are pooled: -1 is the last one. One only: a list of several is not taken.",
    default: { value: -2 },
    hashed: true,
  },
  bertMaskClsSep: {
    ...flag,
    help: "Leave [CLS] and [SEP] out of what is pooled.",
  },
  bertShowTokensToClient: {
    ...flag,
    help: "Send the tokens with the vectors, for clients that ask for them (show_tokens).",
  },
  bertFixedEmbedLength: {
    ...flag,
    help: "With NONE and no bert-max-seq-len: rows as long as the model takes, in every request.",
  },
  bertPriorityBatchSize: {
    type: "integer",
    unit: "texts",
    min: 1,
    max: 1_000_000,
    group: "bert-as-service",
    help: "A request of fewer texts is realtime, any other bulk.",
    default: { value: 16 },
    hashed: true,
  },
  bertMaxBatchSize: {
    type: "integer",
    unit: "texts",
    min: 1,
    max: 1_000_000,
    group: "bert-as-service",
    help: "Told to clients that ask for the configuration; what a batch is, Millrace decides itself.",
    default: { value: 256 },
    hashed: false,
  },
  bertTerminate: {
    ...flag,
    help: "Let a client stop the server, as `bert-serving-terminate` does; the server drains first.",
    hashed: false,
  },
};
