/** Options that say who may come in, and how. */
import type { OptionRows } from "./definition.js";

export interface AccessOptions {
  /** A file of API keys; null: nobody is asked for one. */
  readonly keys: string | null;
  /** What keys have used; null: beside their file. */
  readonly keysUsage: string | null;
  /** Certificate and its key, both or none; null: no TLS. */
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  /** Web pages that may call, by their origins; null: none. */
  readonly corsOrigins: string | null;
  /** Null: administrative routes are at the main port. */
  readonly adminPort: number | null;
  readonly adminHost: string;
  readonly insecure: boolean;
}

const access = { group: "Access", hashed: false } as const;

export const accessOptions: OptionRows<AccessOptions> = {
  keys: {
    type: "path",
    what: "file",
    ...access,
    help: "File of API keys, as `millrace keys` writes it; whoever sends none of them is refused. A change counts within a second.",
    default: { value: null },
  },
  keysUsage: {
    type: "path",
    what: "file",
    ...access,
    help: "File in which it is kept what keys have used in this month; for a file of keys in a folder that cannot be written. Beside that file where none is named.",
    default: { value: null },
  },
  tlsCert: {
    type: "path",
    what: "file",
    ...access,
    help: "Certificate in PEM, with the chain behind it; the server then speaks TLS. A new one is used within a second.",
    default: { value: null },
  },
  tlsKey: {
    type: "path",
    what: "file",
    ...access,
    help: "The certificate's private key, in PEM and not encrypted.",
    default: { value: null },
  },
  corsOrigins: {
    type: "text",
    ...access,
    help: "Origins of web pages that may call the server, with commas between (`https://app.example`), or `*` for all of them.",
    default: { value: null },
  },
  adminPort: {
    type: "integer",
    unit: "port",
    min: 0,
    max: 65_535,
    ...access,
    help: "Port of the routes for operators (`/status`, `/metrics`, reloads), which the main port then does not have; 0 picks a free one. None: they are at the main port, where keys are asked for only with a key that may.",
    default: { value: null },
  },
  adminHost: {
    type: "text",
    ...access,
    help: "Address of admin-port. On loopback nobody is asked for a key there.",
    default: { value: "127.0.0.1" },
  },
  insecure: {
    type: "flag",
    ...access,
    help: "Start although others than this machine can reach the server and nobody is asked for a key; and, wherever it listens, answer to any name and to pages of any origin.",
    default: { value: false },
  },
};
