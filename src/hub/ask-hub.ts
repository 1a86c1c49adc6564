/** One request to a hub, over its redirects: the token goes to the hub's own host and to no other. */
import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../work/thrown.js";

export interface Hub {
  /** Without a slash at its end: `https://huggingface.co`. */
  readonly endpoint: string;
  /** Null: who is asked for nothing says nothing. */
  readonly token: string | null;
  /** A head or a body of which nothing comes for so long is broken off. */
  readonly silenceMsMax: number;
}

export interface HubQuestion {
  /** Below the endpoint. */
  readonly path: string;
  /** For errors: what is asked for. */
  readonly what: string;
  readonly headers: Readonly<Record<string, string>>;
}

const redirectsMax = 8;
const silenceMsMax = 30_000;
/** In a row, none of which has brought anything. */
export const attemptsMax = 6;
const pauseMsMax = 30_000;

/** `https://…`, without what may stand behind it. @throws MillraceError `option_invalid` */
export function hubOf(endpoint: string, token: string | undefined): Hub {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.username !== "") {
    throw new MillraceError("option_invalid", `--endpoint: ${endpoint} is no address of a hub`);
  }
  return {
    endpoint: endpoint.replace(/\/+$/, ""),
    token: token === undefined || token === "" ? null : token,
    silenceMsMax,
  };
}

/**
 * The reply where it is one of success.
 *
 * @throws MillraceError `unauthenticated`, `forbidden`, `model_not_found`; `Passing` for what may pass; the signal's reason.
 */
export async function askHub(
  hub: Hub,
  { path, what, headers }: HubQuestion,
  signal: AbortSignal,
): Promise<Response> {
  let url = new URL(`${hub.endpoint}${path}`);
  const own = url.origin;
  for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
    const mine: Record<string, string> =
      hub.token === null || url.origin !== own ? {} : { authorization: `Bearer ${hub.token}` };
    const reply = await fetchHead(url, { headers: { ...headers, ...mine }, signal, hub });
    const to = reply.headers.get("location");
    if (reply.status < 300 || reply.status >= 400 || to === null) return checked(reply, hub, what);
    await reply.body?.cancel();
    if (!URL.canParse(to, url.href)) break;
    url = new URL(to, url);
    const isPlain = url.username === "" && url.password === "";
    if (!["http:", "https:"].includes(url.protocol) || !isPlain) break;
  }
  throw new MillraceError("response_invalid", `${hub.endpoint} leads nowhere for ${what}`);
}

/** May go away by itself. */
export class Passing extends MillraceError {
  /** As the hub wishes it; null: it says nothing. */
  readonly afterMs: number | null;
  /** Somebody is there, and has answered. */
  readonly isAnswered: boolean;

  constructor(
    message: string,
    options: {
      readonly cause?: unknown;
      readonly afterMs?: number;
      readonly isAnswered?: boolean;
    } = {},
  ) {
    super("connection_failed", message, { cause: options.cause });
    this.afterMs = options.afterMs ?? null;
    this.isAnswered = options.isAnswered ?? true;
  }
}

/** Before the next attempt, `failures` being those before this one. Rejects with the signal's reason. */
export async function pauseBehind(
  error: Passing,
  { failures, pauseMs, signal }: PauseParts,
): Promise<void> {
  const wantedMs = error.afterMs ?? pauseMs * 2 ** failures;
  await sleep(Math.min(wantedMs, pauseMsMax), null, { signal });
}

export interface PauseParts {
  readonly failures: number;
  /** Behind the first one; doubled with each. */
  readonly pauseMs: number;
  readonly signal: AbortSignal;
}

/** What comes of a body; where nothing does for too long it is broken off by `stop`, which its request heeds. */
export async function* bodyPieces(
  reply: Response,
  stop: AbortController,
  { silenceMsMax: msMax }: Pick<Hub, "silenceMsMax">,
): AsyncGenerator<Uint8Array> {
  const silent = new Error(`nothing came for ${msMax} ms`);
  const stopIn = (): NodeJS.Timeout => setTimeout(() => stop.abort(silent), msMax);
  let timer = stopIn();
  try {
    for await (const piece of reply.body ?? []) {
      clearTimeout(timer);
      yield piece;
      timer = stopIn();
    }
  } finally {
    clearTimeout(timer);
  }
}

interface HeadParts {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly hub: Hub;
}

async function fetchHead(url: URL, { headers, signal, hub }: HeadParts): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), hub.silenceMsMax);
  try {
    return await fetch(url, {
      headers,
      redirect: "manual",
      signal: AbortSignal.any([signal, late.signal]),
    });
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = late.signal.aborted ? `no answer within ${hub.silenceMsMax} ms` : messageOf(cause);
    const message = `${url.origin} cannot be reached: ${why}${proxyHint()}`;
    throw new Passing(message, { cause: error, isAnswered: false });
  } finally {
    clearTimeout(timer);
  }
}

/** Node's `fetch` asks no proxy by itself. */
function proxyHint(): string {
  const { HTTPS_PROXY, https_proxy: lower, NODE_USE_ENV_PROXY } = process.env;
  if ((HTTPS_PROXY ?? lower) === undefined || NODE_USE_ENV_PROXY === "1") return "";
  return "; HTTPS_PROXY is heeded with NODE_USE_ENV_PROXY=1, from Node 24 on";
}

async function checked(reply: Response, { endpoint, token }: Hub, what: string): Promise<Response> {
  const { status } = reply;
  if (status >= 200 && status < 300) return reply;
  await reply.body?.cancel();
  const whose = token === null ? "set HF_TOKEN to one that may" : "that of HF_TOKEN may not";
  if (status === 401) {
    const message = `${what}: ${endpoint} has no such repository, or wants a token: ${whose}`;
    throw new MillraceError("unauthenticated", message);
  }
  if (status === 403) {
    const message = `${what}: its owner must let you in first, on its page at ${endpoint}; ${whose}`;
    throw new MillraceError("forbidden", message);
  }
  if (status === 404) {
    throw new MillraceError("model_not_found", `${what}: ${endpoint} has none`);
  }
  if (status === 429 || status >= 500) {
    const afterS = Number(reply.headers.get("retry-after") ?? Number.NaN);
    const after = Number.isFinite(afterS) ? { afterMs: 1_000 * afterS } : {};
    throw new Passing(`${what}: ${endpoint} answers with status ${status}`, after);
  }
  throw new MillraceError("response_invalid", `${what}: ${endpoint} answers with status ${status}`);
}
