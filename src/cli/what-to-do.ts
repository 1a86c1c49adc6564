/** What to do about an error, beyond what its code says: of a connection, its cause is known here. */
import { CommanderError } from "commander";
import { type ErrorCode, errorRegistry, type MillraceError } from "millrace-client/wire";
import { missingRuntime } from "../runtime/installed-runtime.js";
import { AdvisedError } from "./advised-error.js";
import { withoutControls } from "./without-controls.js";

/** Node's, of a certificate that nobody known has signed. */
const strangers: readonly string[] = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
];

/** Commands whose flags are the server's options: what the registry says of these is meant of them. */
const optionCommands: readonly string[] = ["", "serve", "config"];

/** What the registry says of these is meant of requests, and headers are nothing that is typed here. */
const adviceOfKeys: Readonly<Partial<Record<ErrorCode, string>>> = {
  unauthenticated:
    "The variable MILLRACE_KEY, or --key, has the key; `millrace keys add` makes one where the server is.",
  forbidden:
    "Ask for what the message names, or name a key that may by the variable MILLRACE_KEY or --key; `millrace keys add --help` says what keys may.",
};

/** `called`: the command as it is typed behind `millrace`: `jobs submit`. */
export function whatToDo(error: MillraceError, called = ""): string {
  if (error instanceof AdvisedError) return error.advice;
  const text = textTakenForFlag(error.cause);
  if (text !== null)
    return `If it is a text, two dashes stand before it: -- ${JSON.stringify(text)}`;
  const isUsage = error.code === "option_invalid" && !optionCommands.includes(called);
  if (isUsage || error.cause instanceof CommanderError)
    return `\`${["millrace", ...called.split(" "), "--help"].filter(Boolean).join(" ")}\` has what it takes, and examples.`;
  const ofKeys = adviceOfKeys[error.code];
  if (ofKeys !== undefined) return ofKeys;
  if (missingRuntime(error.cause) !== null)
    return "docs/platforms.md says more: Installing behind a firewall.";
  if (error.code !== "connection_failed") return errorRegistry[error.code].whatToDo;
  const usual = "Check the address, and that the server runs: `millrace serve` starts one.";
  const codes = codesOf(error);
  if (codes.some((code) => strangers.includes(code))) {
    return "The variable NODE_EXTRA_CA_CERTS names a file of certificates that are trusted as well.";
  }
  // A server that speaks TLS hangs up on who does not; the other way round it answers in what is no TLS.
  if (codes.includes("UND_ERR_SOCKET")) {
    return `${usual} If it speaks TLS, the address begins with https://.`;
  }
  if (
    codes.includes("ERR_SSL_WRONG_VERSION_NUMBER") ||
    codes.includes("ERR_SSL_PACKET_LENGTH_TOO_LONG")
  ) {
    return "The server speaks no TLS there: the address begins with http://.";
  }
  return usual;
}

/** What no flag looks like: `-5 degrees`. */
function textTakenForFlag(cause: unknown): string | null {
  if (!(cause instanceof CommanderError) || cause.code !== "commander.unknownOption") return null;
  const [, word = ""] = /unknown option '(.*)'/s.exec(cause.message) ?? [];
  return /\s|^-\d/.test(word) ? withoutControls(word) : null;
}

/** Of the error and of what caused it. */
function codesOf(error: Error): readonly string[] {
  const codes: string[] = [];
  for (let each: unknown = error; each instanceof Error && codes.length < 8; each = each.cause) {
    codes.push("code" in each ? String(each.code) : "");
  }
  return codes;
}
