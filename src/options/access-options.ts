/** Options that say who may come in, and how. */
import type { OptionRows } from "./definition.js";

export interface AccessOptions {
  /** A file of API keys; null: nobody is asked for one. */
  readonly keys: string | null;
  readonly insecure: boolean;
}

export const accessOptions: OptionRows<AccessOptions> = {
  keys: {
    type: "path",
    what: "file",
    group: "Access",
    help: "File of API keys, as `millrace keys` writes it; whoever sends none of them is refused. A change counts within a second.",
    default: { value: null },
    hashed: false,
  },
  insecure: {
    type: "flag",
    group: "Access",
    help: "Start although others than this machine can reach the server and nobody is asked for a key.",
    default: { value: false },
    hashed: false,
  },
};
