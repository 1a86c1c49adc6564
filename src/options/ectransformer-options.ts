/** Options of the protocol of ECTrans, which calls its ports so: there is no other protocol over ZeroMQ in its world. */
import type { OptionRows } from "./definition.js";

export interface EctransformerOptions {
  /** Null: the protocol is not spoken. */
  readonly zmqPort: number | null;
  readonly zmqPortOut: number | null;
  /** Null: the only model that translates. */
  readonly ectransModel: string | null;
}

const port = { type: "integer", unit: "port", min: 0, max: 65_535, group: "ECTrans" } as const;

export const ectransformerOptions: OptionRows<EctransformerOptions> = {
  zmqPort: {
    ...port,
    help: "Port where ECTrans' clients send, usually 5550 or 5557; 0 picks a free one. Together with zmq-port-out.",
    default: { value: null },
    hashed: false,
  },
  zmqPortOut: {
    ...port,
    help: "Port where they receive, usually 5560; 0 picks a free one.",
    default: { value: null },
    hashed: false,
  },
  ectransModel: {
    type: "text",
    group: "ECTrans",
    help: "Model that answers ECTrans' clients, whose protocol has no name for one.",
    default: { value: null },
    hashed: true,
  },
};
