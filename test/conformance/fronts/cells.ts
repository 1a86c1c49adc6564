/** Cells that several protocols say in the same words: a driver spreads them among its own. */
import type { Cells } from "./driver.js";

/** Whatever carries it. */
export const anywhere = {
  company: { how: "nothing to say: requests are packed whoever sent them" },
  killed: { how: "nothing to say: what was lost with it runs elsewhere" },
} satisfies Partial<Cells>;

/** One request, one reply, over HTTP/1.1. */
export const overHttp = {
  ...anywhere,
  manyCallers: { how: "a connection each" },
  callerGone: { how: "the connection closes before the reply is whole" },
  cancel: {
    cannot: "HTTP/1.1 has no word for it: who cancels closes the connection, which is to leave",
  },
} satisfies Partial<Cells>;

/** Of bert-as-service, over both of its wires. */
export const bertCells = {
  tooLong: {
    cannot: "texts are cut at `--bert-max-seq-len`, as they are by the original server",
  },
  unknownModel: { cannot: "it has no word for a model: `--bert-model` says which one answers" },
} satisfies Partial<Cells>;
