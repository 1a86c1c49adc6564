/**
 * Who does the work of a command: a server, or worker processes of this one.
 *
 *   --url, MILLRACE_URL          that server, and no other: where it is not there, that is the error
 *   --local, --models DIR        this process
 *   nothing named                the server that answers where `millrace serve` would listen, else this process
 */
import { stat } from "node:fs/promises";
import { headerNames, Millrace, MillraceError } from "millrace-client";
import { Deadline } from "../../work/deadline.js";
import { hasCode } from "../../work/thrown.js";
import { AdvisedError } from "../advised-error.js";
import { tell } from "../print.js";
import { keyOf } from "../remote.js";
import { namedUrl, usualUrl } from "../server-url.js";
import type { BulkFlags } from "./flags.js";

/** How much there is to do, as far as it can be told before: little is not worth a second pipeline. */
export type Amount = "little" | "much";

export interface Work {
  readonly task: string;
  readonly amount: Amount;
}

const littleTexts = 16;
const littleBytes = 16 * 1024;
/** On this machine somebody answers within it, or nobody is there. */
const probeMsMax = 1_000;
/** Nobody is there, or can be got at. */
const unreached = ["ECONNREFUSED", "EADDRNOTAVAIL", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND"];

/** Of texts, or of a path: what cannot be told is much. */
export async function amountOf(input: readonly string[] | string): Promise<Amount> {
  if (typeof input !== "string") return input.length <= littleTexts ? "little" : "much";
  const found = input === "-" ? null : await stat(input).catch(() => null);
  return found?.isFile() === true && found.size <= littleBytes ? "little" : "much";
}

/** Every call is a request of its own. Whoever has it disposes of it, and with it of every process that it started. */
export async function openWorkplace(
  flags: BulkFlags,
  work: Work,
  signal: AbortSignal,
): Promise<Millrace> {
  const { url, local = false, models } = flags;
  const isLocal = local || models !== undefined;
  if (url !== undefined && isLocal) {
    const other = models === undefined ? "--local" : "--models";
    throw new MillraceError("option_invalid", `--url and ${other} contradict each other`);
  }
  if (url !== undefined) return clientOf(url, flags);
  if (isLocal) return await openHere(flags, work, { why: "", signal });
  const named = namedUrl();
  if (named !== null) {
    tellWho(flags, `the server at ${named} does it (MILLRACE_URL)`);
    return clientOf(named, flags);
  }
  const usual = usualUrl();
  const found = await probe(usual, signal);
  if (found === "server") {
    tellWho(flags, `the server at ${usual} does it`);
    return clientOf(usual, flags);
  }
  const whys = {
    nobody: `no server at ${usual}: `,
    other: `what answers at ${usual} is not Millrace: `,
    untold: `whether Millrace is at ${usual} cannot be told, --url says why: `,
  } as const;
  return await openHere(flags, work, { why: whys[found], signal });
}

/** For what this process cannot do by itself; `flag` is what asked for it. */
export async function openServerOnly(
  flags: BulkFlags,
  flag: string,
  signal: AbortSignal,
): Promise<Millrace> {
  if (flags.local === true || flags.models !== undefined) {
    const other = flags.local === true ? "--local" : "--models";
    const message = `${flag} needs a server, which keeps the work when this process ends: not together with ${other}`;
    throw new MillraceError("option_invalid", message);
  }
  const named = flags.url ?? namedUrl();
  if (named !== null) return clientOf(named, flags);
  const usual = usualUrl();
  if ((await probe(usual, signal)) === "server") return clientOf(usual, flags);
  const message = `${flag} needs a server, which keeps the work when this process ends, and none is at ${usual}`;
  const advice = "Start one with `millrace serve --data DIR`, or name it with --url.";
  throw new AdvisedError("connection_failed", message, advice);
}

function clientOf(url: string, flags: BulkFlags): Millrace {
  return new Millrace(url, { sharing: false, expect: expectOf(flags), ...keyOf(flags) });
}

function expectOf({ expectEnvironment }: BulkFlags): { readonly environment?: string } {
  return expectEnvironment === undefined ? {} : { environment: expectEnvironment };
}

/** `untold`: somebody is there, and is not understood. */
type Found = "server" | "other" | "nobody" | "untold";

async function probe(url: string, signal: AbortSignal): Promise<Found> {
  using deadline = new Deadline(probeMsMax, signal);
  try {
    const reply = await fetch(`${url}/live`, { signal: deadline.signal });
    await reply.body?.cancel();
    return reply.headers.has(headerNames.deployment) ? "server" : "other";
  } catch (error) {
    signal.throwIfAborted();
    if (deadline.isOver) return "other";
    return isAnswered(error) ? "untold" : "nobody";
  }
}

/** Somebody answered, in what is no HTTP or behind a certificate that is not trusted. */
function isAnswered(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : null;
  if (!(cause instanceof Error) || !("code" in cause)) return false;
  return !unreached.some((code) => hasCode(cause, code));
}

async function openHere(
  flags: BulkFlags,
  work: Work,
  { why, signal }: { readonly why: string; readonly signal: AbortSignal },
): Promise<Millrace> {
  const { localOptions } = await import("./local-options.js");
  const { model } = flags;
  const wanted = { ...work, ...(model !== undefined && { model }) };
  const given = flags.models === undefined ? {} : { models: flags.models };
  const { options, told } = await localOptions(wanted, given);
  tellWho(flags, `${why}this process does it, with ${told}`);
  const { open } = await import("../../open.js");
  return await open({ ...options, sharing: false, expect: expectOf(flags), signal });
}

/** One line, never where results go. Whoever reads a summary as JSON reads nothing else there. */
function tellWho({ quiet, jsonSummary }: BulkFlags, text: string): void {
  if (quiet === true || jsonSummary === true) return;
  tell(`millrace: ${text}\n`);
}
