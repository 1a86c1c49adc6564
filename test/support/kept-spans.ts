/** Spans as they are told, in memory: what begins and ends when, on a clock of the test's own. */
import type { Clock } from "#src/work/clock.js";
import type { TraceContext } from "#src/work/trace-context.js";
import type { SpanAttributes, SpanEnd, SpanStart, TraceSpan } from "#src/work/trace-span.js";

export class KeptSpans {
  readonly clock: Pick<Clock, "now">;
  readonly #ended: MemorySpan[] = [];
  #last = 0;

  constructor(clock: Pick<Clock, "now">) {
    this.clock = clock;
  }

  begin(name: string, parent: MemorySpan | null = null, start: SpanStart = {}): MemorySpan {
    this.#last += 1;
    const spanId = String(this.#last).padStart(16, "0");
    const traceId = parent?.context.traceId ?? String(this.#last).padStart(32, "0");
    const context = { traceId, spanId, isSampled: true, state: null };
    return new MemorySpan(this, { name, parent, context, start });
  }

  keep(span: MemorySpan): void {
    this.#ended.push(span);
  }

  /** In the order in which they ended. */
  ended(): readonly MemorySpan[] {
    return this.#ended;
  }
}

class MemorySpan implements TraceSpan {
  readonly name: string;
  readonly context: TraceContext;
  readonly isKept = true;
  readonly parent: MemorySpan | null;
  readonly fromMs: number;
  readonly links: TraceContext[];
  attributes: SpanAttributes;
  toMs: number | null = null;
  error: string | null = null;
  readonly #kept: KeptSpans;

  constructor(
    kept: KeptSpans,
    of: {
      readonly name: string;
      readonly parent: MemorySpan | null;
      readonly context: TraceContext;
      readonly start: SpanStart;
    },
  ) {
    this.#kept = kept;
    this.name = of.name;
    this.parent = of.parent;
    this.context = of.context;
    this.fromMs = of.start.atMs ?? kept.clock.now();
    this.links = [...(of.start.links ?? [])];
    this.attributes = of.start.attributes ?? {};
  }

  child(name: string, start?: SpanStart): MemorySpan {
    return this.#kept.begin(name, this, start);
  }

  apart(name: string, start?: SpanStart): MemorySpan {
    return this.#kept.begin(name, null, start);
  }

  link(to: TraceContext): void {
    this.links.push(to);
  }

  set(attributes: SpanAttributes): void {
    this.attributes = { ...this.attributes, ...attributes };
  }

  end({ atMs = this.#kept.clock.now(), error }: SpanEnd = {}): void {
    if (this.toMs !== null) return;
    this.toMs = atMs;
    this.error = error ?? null;
    this.#kept.keep(this);
  }
}
