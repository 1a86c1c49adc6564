/** A call as OpenTelemetry's conventions have it, by the name that the method has in its file. */
import type { IncomingHttpHeaders } from "node:http";
import { status } from "@grpc/grpc-js";
import type { Tracer } from "../../tracing/tracer.js";
import { readTraceContext } from "../../work/trace-context.js";
import type { TraceSpan } from "../../work/trace-span.js";

/** What is open to everybody is health and what there is: most of it is polls, and not traced. */
export function beginGrpcSpan(
  tracer: Tracer,
  headers: IncomingHttpHeaders,
  { path, id, access }: { readonly path: string; readonly id: string; readonly access: string },
): TraceSpan | null {
  if (access === "open") return null;
  const parent = readTraceContext(headers["traceparent"], headers["tracestate"]);
  const method = path.slice(1);
  return tracer.begin(method, parent, {
    kind: "server",
    attributes: {
      "rpc.system.name": "grpc",
      "rpc.method": method,
      "millrace.request.id": id,
    },
  });
}

/** Those that the conventions call the server's fault, and the caller who left. */
const errors: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

export function endGrpcSpan(span: TraceSpan | null, code: number): void {
  if (span === null) return;
  const name = status[code] ?? String(code);
  span.set({ "rpc.response.status_code": name });
  span.end(errors.has(code) ? { error: name } : {});
}
