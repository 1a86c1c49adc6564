/** Status and headers of what fronts over HTTP say in bodies of their own: an error, and whether the server is ready. */
import { errorRegistry, type MillraceError } from "millrace-client/wire";

interface ReplyHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export function errorHead({ code, retryAfterMs }: MillraceError): ReplyHead {
  const status = errorRegistry[code].status ?? 500;
  if (status === 401) return { status, headers: { "www-authenticate": "Bearer" } };
  const isWorthRetrying = status === 429 || status === 503;
  return { status, headers: isWorthRetrying ? retryAfter(retryAfterMs ?? 1_000) : {} };
}

export function readyHead(isReady: boolean): ReplyHead {
  return isReady ? { status: 200, headers: {} } : { status: 503, headers: retryAfter(1_000) };
}

/** Whole seconds, at least one: HTTP knows no smaller unit. */
function retryAfter(ms: number): ReplyHead["headers"] {
  return { "retry-after": String(Math.max(1, Math.ceil(ms / 1_000))) };
}
