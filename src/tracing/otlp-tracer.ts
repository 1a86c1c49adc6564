/**
 * Spans by OpenTelemetry's own SDK, sent to a collector by OTLP over HTTP in protobuf. The only file that knows it.
 *
 *   span.end ─► queue, `queueSpansMax` ─► 512 at a time, or each second ─► collector
 *                  │ full                    │ away, slow, or it refuses
 *                  └────► dropped, counted ◄─┘
 *
 * Nobody waits for the collector: one request to it is under way at a time, and meanwhile there is room for the queue and no more.
 */
import {
  type Attributes,
  type Context,
  createNoopMeter,
  createTraceState,
  type Link,
  type MeterProvider,
  ROOT_CONTEXT,
  type Span as SdkSpan,
  type Tracer as SdkTracer,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SamplingResult,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { DeploymentIdentity } from "millrace-client/wire";
import { version } from "../version.js";
import type { TraceContext } from "../work/trace-context.js";
import type { SpanAttributes, SpanEnd, SpanStart, TraceSpan } from "../work/trace-span.js";
import { within } from "../work/within.js";
import { HandedOn, type Tracer } from "./tracer.js";
import { tracesUrlOf } from "./traces-url.js";

export type SpanDropReason =
  /** More came than the collector took. */
  | "queue_full"
  /** The collector was away, too slow, or refused them. */
  | "export_failed";

export interface OtlpTracerParts {
  /** Of the collector; without a path: `/v1/traces` there. */
  readonly url: string;
  /** Of requests that say nothing of a trace, 0 to 1; of the others those that their callers keep. */
  readonly sampleRatio: number;
  readonly queueSpansMax: number;
  readonly identity: DeploymentIdentity;
  readonly onDropped: (reason: SpanDropReason, spans: number) => void;
  /** The collector took spans, or did not, after it had done the other. */
  readonly onCollector: (isThere: boolean) => void;
}

const exportSpansMax = 512;
const exportDelayMs = 1_000;
/** A batch has as many requests as a pipeline has rows, and a request is in many batches. */
const linksMax = 512;
/** As the SDK numbers it. */
const succeeded = 0;
const attributeCharactersMax = 256;
/** A request to a collector that hangs keeps its process: no longer than a server that stops waits for the last spans. */
const exportMsMax = 5_000;
const timeoutVariables = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

/** Where the variables name a timeout, they are heard. */
export function exportTimeout(variables: NodeJS.ProcessEnv = process.env): {
  readonly timeoutMillis?: number;
} {
  const isNamed = timeoutVariables.some((name) => (variables[name] ?? "").trim() !== "");
  return isNamed ? {} : { timeoutMillis: exportMsMax };
}

export class OtlpTracer implements Tracer {
  readonly #provider: TracerProvider;
  readonly #tracer: SdkTracer;

  constructor(parts: OtlpTracerParts) {
    const { url, sampleRatio, queueSpansMax, identity } = parts;
    // What the flags do not say it reads from OTEL_EXPORTER_OTLP_*: headers with keys, certificates, timeout, compression.
    const exporter = new OTLPTraceExporter({ url: tracesUrlOf(url), ...exportTimeout() });
    const processor = new BatchSpanProcessor({
      exporter: new NeverFailingExporter(exporter),
      maxQueueSize: queueSpansMax,
      maxExportBatchSize: Math.min(exportSpansMax, queueSpansMax),
      scheduledDelayMillis: exportDelayMs,
      selfObsMeterProvider: countingMeter(parts),
    });
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({
        "service.name": identity.name,
        "service.version": identity.version,
        "service.instance.id": identity.node,
        "deployment.environment.name": identity.environment,
        "millrace.config": identity.configHash,
      }),
      sampler: new KeptWithItsLinks(
        new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
      ),
      spanLimits: {
        linkCountLimit: linksMax,
        attributeValueLengthLimit: attributeCharactersMax,
      },
      spanProcessors: [processor],
    });
    this.#tracer = this.#provider.getTracer("millrace", version);
  }

  begin(name: string, parent: TraceContext | null, start: SpanStart): TraceSpan {
    const context =
      parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, sdkContext(parent, true));
    return startSpan(this.#tracer, name, { ...start, context });
  }

  /** Sends what is left, for at most so long. Again: nothing. */
  async close(msMax: number): Promise<void> {
    await within(
      msMax,
      this.#provider.shutdown().catch(() => {}),
    );
  }
}

/**
 * What became of spans is told by the error, and never as a failure: behind one the SDK forgets that a request is under way and sends others
 * beside it.
 */
class NeverFailingExporter implements SpanExporter {
  readonly #exporter: OTLPTraceExporter;

  constructor(exporter: OTLPTraceExporter) {
    this.#exporter = exporter;
  }

  export(...[spans, done]: Parameters<SpanExporter["export"]>): void {
    this.#exporter.export(spans, ({ code, error = new Error("not exported") }) =>
      done(code === succeeded ? { code } : { code: succeeded, error }),
    );
  }

  async shutdown(): Promise<void> {
    await this.#exporter.shutdown();
  }
}

/** What is done for several requests is kept where one of them is. */
class KeptWithItsLinks implements Sampler {
  readonly #others: Sampler;

  constructor(others: Sampler) {
    this.#others = others;
  }

  // biome-ignore lint/complexity/useMaxParams: the SDK's own signature
  shouldSample(...of: Parameters<Sampler["shouldSample"]>): SamplingResult {
    const [, , , , , links] = of;
    const isKept = links.some(({ context }) => (context.traceFlags & TraceFlags.SAMPLED) !== 0);
    return isKept
      ? { decision: SamplingDecision.RECORD_AND_SAMPLED }
      : this.#others.shouldSample(...of);
  }
}

interface ContextStart extends SpanStart {
  readonly context: Context;
  /** By which its clock differs from `performance.now()`. Default: what it is now. */
  readonly epochMs?: number;
}

const kinds = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
} as const;

function startSpan(tracer: SdkTracer, name: string, start: ContextStart): TraceSpan {
  const { context, atMs, kind = "internal", attributes = {}, links = [] } = start;
  // Taken anew for each trace, as the machine's clock may be set; one for all of it, so that its spans lie in each other.
  const epochMs = start.epochMs ?? Date.now() - performance.now();
  const options = {
    kind: kinds[kind],
    startTime: epochMs + (atMs ?? performance.now()),
    attributes: attributes as Attributes,
    links: links.map((each): Link => ({ context: sdkContext(each, false) })),
  };
  const span = tracer.startSpan(name, options, context);
  const own = contextOf(span.spanContext());
  return span.isRecording() ? new KeptSpan(span, { tracer, own, epochMs }) : new HandedOn(own);
}

class KeptSpan implements TraceSpan {
  readonly context: TraceContext;
  readonly isKept = true;
  readonly #span: SdkSpan;
  readonly #tracer: SdkTracer;
  readonly #epochMs: number;

  constructor(
    span: SdkSpan,
    of: { readonly tracer: SdkTracer; readonly own: TraceContext; readonly epochMs: number },
  ) {
    this.#span = span;
    this.#tracer = of.tracer;
    this.#epochMs = of.epochMs;
    this.context = of.own;
  }

  child(name: string, start: SpanStart = {}): TraceSpan {
    const context = trace.setSpan(ROOT_CONTEXT, this.#span);
    return startSpan(this.#tracer, name, { ...start, context, epochMs: this.#epochMs });
  }

  apart(name: string, start: SpanStart = {}): TraceSpan {
    const { links = [this.context] } = start;
    return startSpan(this.#tracer, name, { ...start, links, context: ROOT_CONTEXT });
  }

  link(to: TraceContext): void {
    this.#span.addLink({ context: sdkContext(to, false) });
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes);
  }

  end({ atMs, error }: SpanEnd = {}): void {
    if (!this.#span.isRecording()) return;
    if (error !== undefined) {
      this.#span.setAttribute("error.type", error);
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    }
    this.#span.end(this.#epochMs + (atMs ?? performance.now()));
  }
}

function sdkContext(
  { traceId, spanId, isSampled, state }: TraceContext,
  isRemote: boolean,
): SpanContext {
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  const more = state === null ? {} : { traceState: createTraceState(state) };
  return { traceId, spanId, traceFlags, isRemote, ...more };
}

function contextOf({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const isSampled = (traceFlags & TraceFlags.SAMPLED) !== 0;
  return { traceId, spanId, isSampled, state: traceState?.serialize() ?? null };
}

/** The SDK says what became of its spans as metrics, and in no other way. */
function countingMeter({ onDropped, onCollector }: OtlpTracerParts): MeterProvider {
  const meter = createNoopMeter();
  const createCounter = meter.createCounter.bind(meter);
  let isThere: boolean | null = null;
  const processed = (spans: number, attributes: Attributes = {}): void => {
    const error = attributes["error.type"];
    if (error === "queue_full") return onDropped("queue_full", spans);
    if (error !== undefined) onDropped("export_failed", spans);
    const took = error === undefined;
    if (isThere !== took && (isThere !== null || !took)) onCollector(took);
    isThere = took;
  };
  meter.createCounter = (name, options) =>
    name === "otel.sdk.processor.span.processed"
      ? { add: processed }
      : createCounter(name, options);
  return { getMeter: () => meter };
}
