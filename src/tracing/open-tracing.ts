/** Traces of a server: kept and sent to a collector where `--otlp-url` names one, else handed on as they come. */
import type { DeploymentIdentity } from "millrace-client/wire";
import type { OtlpTracer, SpanDropReason } from "./otlp-tracer.js";
import { noTracer, type Tracer } from "./tracer.js";

export interface TracingParts {
  readonly options: {
    readonly otlpUrl: string | null;
    readonly traceSampleRatio: number;
    readonly traceQueueSpansMax: number;
  };
  readonly identity: DeploymentIdentity;
  readonly metrics: { spansDropped(reason: SpanDropReason, spans: number): void };
  readonly log: Record<"info" | "warn", (fields: object, message: string) => void>;
}

export interface Tracing {
  readonly tracer: Tracer;
  /** Sends what is left, for at most so long. Again: nothing. */
  close(msMax: number): Promise<void>;
}

/** The SDK is loaded where it is used only: every other start would wait for it. */
export async function openTracing(parts: TracingParts): Promise<Tracing> {
  const { options, identity, metrics, log } = parts;
  const { otlpUrl: url } = options;
  if (url === null) return { tracer: noTracer, close: () => Promise.resolve() };
  const { OtlpTracer: Otlp } = await import("./otlp-tracer.js");
  const tracer: OtlpTracer = new Otlp({
    url,
    sampleRatio: options.traceSampleRatio,
    queueSpansMax: options.traceQueueSpansMax,
    identity,
    onDropped: (reason, spans) => metrics.spansDropped(reason, spans),
    onCollector: (isThere) => {
      if (isThere) log.info({ collector: url }, "the collector takes traces again");
      else log.warn({ collector: url }, "the collector takes no traces: they are dropped");
    },
  });
  return { tracer, close: (msMax) => tracer.close(msMax) };
}
