/** Options of text-embeddings-inference's protocol. */
import type { OptionRows } from "./definition.js";

export interface TeiOptions {
  /** Its clients name no model; null: the only one that is served for what they ask. */
  readonly teiModel: string | null;
}

export const teiOptions: OptionRows<TeiOptions> = {
  teiModel: {
    type: "text",
    group: "text-embeddings-inference",
    help: "Model that answers clients of text-embeddings-inference, which name none; else the only one for what they ask.",
    default: { value: null },
    hashed: true,
  },
};
