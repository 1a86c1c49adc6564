/**
 * A piece of a request's way, as traces have it. Most requests have none: `TraceSpan | null` stands wherever one may be, and where it is null
 * nothing is made. All times are on the clock of `performance.now()`.
 */
import type { TraceContext } from "./trace-context.js";

export interface TraceSpan {
  readonly context: TraceContext;
  /** False: the trace is only handed on, and what is said of this span is kept by nobody. */
  readonly isKept: boolean;
  /** Of one that is not kept: the same span. */
  child(name: string, start?: SpanStart): TraceSpan;
  /** In a trace of its own, which is kept because this one is: of what is done for several requests together. */
  apart(name: string, start?: SpanStart): TraceSpan;
  link(to: TraceContext): void;
  set(attributes: SpanAttributes): void;
  /** A second call does nothing. */
  end(end?: SpanEnd): void;
}

export interface SpanStart {
  /** Default: now. */
  readonly atMs?: number;
  /** Default: `internal`. */
  readonly kind?: "internal" | "server" | "client";
  readonly attributes?: SpanAttributes;
  readonly links?: readonly TraceContext[];
}

export interface SpanEnd {
  /** Default: now. */
  readonly atMs?: number;
  /** A code of the registry: it failed. */
  readonly error?: string;
}

/** Never a text that a caller sent to be worked on. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;
