/**
 * READ FIRST. Who makes spans. The rooms that say something of a request know `TraceSpan` (work/trace-span.ts) and nothing else; listeners begin them
 * here. One file knows OpenTelemetry (otlp-tracer.ts), and it is loaded where traces are exported only.
 *
 *   listener ─► tracer.begin: SERVER ─┬─ prepare, queue, compute    submit/local/request-spans.ts
 *                                     ├─ ask (CLIENT) ─► a node     submit/nats/remote-ask.ts
 *                                     └─ reply                      listen/http/open-exchange.ts
 *               batch ─► links to the requests' compute ─ stages    submit/local/batch-spans.ts
 */

import type { TraceContext } from "../work/trace-context.js";
import type { SpanStart, TraceSpan } from "../work/trace-span.js";

export interface Tracer {
  /** For a request that came in. `parent`: as whoever asks says; null: it says nothing. Null where nobody traces it. */
  begin(name: string, parent: TraceContext | null, start: SpanStart): TraceSpan | null;
}

/** Where nothing is exported: a trace that somebody else keeps is handed on, for logs, exemplars and other nodes. */
export const noTracer: Tracer = {
  begin: (_name, parent) => (parent === null ? null : new HandedOn(parent)),
};

/** Of a trace that this server does not keep. */
export class HandedOn implements TraceSpan {
  readonly context: TraceContext;
  readonly isKept = false;

  constructor(context: TraceContext) {
    this.context = context;
  }

  child(): TraceSpan {
    return this;
  }

  apart(): TraceSpan {
    return this;
  }

  link(): void {}

  set(): void {}

  end(): void {}
}
