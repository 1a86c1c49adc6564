/** W3C Trace Context (https://www.w3.org/TR/trace-context/): of which trace a request is, as it stands in headers. */

export interface TraceContext {
  /** 32 lower-case hexadecimal digits, not all of them 0. */
  readonly traceId: string;
  /** 16 of them: the span that whatever follows is the child of. */
  readonly spanId: string;
  /** Whoever began the trace keeps it. */
  readonly isSampled: boolean;
  /** `tracestate` as it came: nobody here reads it, and it goes on with the trace. */
  readonly state: string | null;
}

const parentText = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const stateCharactersMax = 512;
const stateText = /^[\x20-\x7e\t]+$/;

/**
 * Null where there is none, or one that breaks the rules: then the request begins a trace of its own, as the standard says, and a
 * `tracestate` means nothing.
 */
export function readTraceContext(parent: unknown, state?: unknown): TraceContext | null {
  if (typeof parent !== "string") return null;
  const [, version, traceId, spanId, flags, more] = parentText.exec(parent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  // Later versions may say more behind it; ff is none.
  if (version === "ff" || (version === "00" && more !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null;
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1;
  return { traceId, spanId, isSampled, state: readState(state) };
}

/** One that is too long is left out whole: half of it would be another one. */
function readState(state: unknown): string | null {
  if (typeof state !== "string" || state.length > stateCharactersMax) return null;
  return stateText.test(state) ? state : null;
}

export function traceparentOf({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}

/** For a message to another server, which reads it with `readTraceContext`. */
export interface CarriedTrace {
  readonly traceparent?: string;
  readonly tracestate?: string;
}

export function carriedTrace(context: TraceContext | null): CarriedTrace {
  if (context === null) return {};
  const { state } = context;
  return { traceparent: traceparentOf(context), ...(state !== null && { tracestate: state }) };
}

/** Of a message: its `traceparent` and `tracestate`, whatever they are. */
export function readCarriedTrace(message: unknown): TraceContext | null {
  if (typeof message !== "object" || message === null) return null;
  const { traceparent, tracestate } = message as Readonly<Record<string, unknown>>;
  return readTraceContext(traceparent, tracestate);
}

/** For a log line. */
export function loggedTrace(context: TraceContext | null | undefined): {
  readonly traceId?: string;
  readonly spanId?: string;
} {
  if (context === null || context === undefined) return {};
  return { traceId: context.traceId, spanId: context.spanId };
}
