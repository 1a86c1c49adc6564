/** Options of traces: whether they are kept, how many of them, and where. */
import { collectorUrlProblem } from "../tracing/traces-url.js";
import type { OptionRows, PlaceOf } from "./definition.js";
import type { Options } from "./options.js";

export interface TracingOptions {
  /** Of a collector; null: nothing is exported. */
  readonly otlpUrl: string | null;
  /** Of requests that say nothing of a trace. */
  readonly traceSampleRatio: number;
  readonly traceQueueSpansMax: number;
}

const tracing = { group: "Tracing", hashed: false } as const;

export const tracingOptions: OptionRows<TracingOptions> = {
  otlpUrl: {
    type: "text",
    ...tracing,
    help: "Collector that traces are sent to by OTLP over HTTP, in protobuf: `http://collector:4318`, to which `/v1/traces` is added. Keys for it, certificates and its timeout are read from OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_HEADERS` and others). None: nothing is exported.",
    default: { value: null },
  },
  traceSampleRatio: {
    type: "ratio",
    ...tracing,
    help: "Share of the requests whose trace is kept, of those that come without a `traceparent`; with one it is as that says.",
    default: { value: 1 },
  },
  traceQueueSpansMax: {
    type: "integer",
    unit: "spans",
    min: 1,
    max: 1_000_000,
    ...tracing,
    help: "Spans that wait for the collector; what is more is dropped and counted.",
    default: { value: 4_096 },
  },
};

export function tracingContradictions({ otlpUrl }: Options, place: PlaceOf): string[] {
  const problem = otlpUrl === null ? null : collectorUrlProblem(otlpUrl);
  return problem === null ? [] : [`${place("otlpUrl")}: ${problem}`];
}
