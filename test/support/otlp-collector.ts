/**
 * A collector of OpenTelemetry as far as traces go: OTLP over HTTP in protobuf, read by the messages that its specification numbers, and by
 * nothing of the SDK that wrote them.
 */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import protobuf from "protobufjs";
import { until } from "./until.js";

const schema = `syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Scope { string name = 1; string version = 2; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
message Span {
  bytes trace_id = 1;
  bytes span_id = 2;
  string trace_state = 3;
  bytes parent_span_id = 4;
  string name = 5;
  uint32 kind = 6;
  fixed64 start_time_unix_nano = 7;
  fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9;
  repeated Link links = 13;
  Status status = 15;
}
message Link { bytes trace_id = 1; bytes span_id = 2; }
message Status { string message = 2; uint32 code = 3; }
`;
const root = protobuf.parse(schema, { keepCase: true }).root;
const requestType = root.lookupType("ExportTraceServiceRequest");

type Value = string | number | boolean;

export interface CollectedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it begins its trace. */
  readonly parentId: string;
  readonly traceState: string;
  readonly kind: "internal" | "server" | "client";
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** Null: it did not fail. */
  readonly error: string | null;
  /** Of whoever made it. */
  readonly resource: Readonly<Record<string, Value>>;
}

/** What it does with what comes: takes it, refuses it for now, does not answer, or answers when it is told to. */
export type CollectorMood = "takes" | "refuses" | "hangs" | "holds";

export class OtlpCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  mood: CollectorMood = "takes";
  requests = 0;
  /** Bytes of all bodies, to look for texts in. */
  readonly bodies: Buffer[] = [];
  readonly #held: ServerResponse[] = [];
  readonly #server: Server;

  static async start(): Promise<OtlpCollector> {
    const collector = new OtlpCollector();
    await new Promise<void>((resolve) => {
      collector.#server.listen(0, "127.0.0.1", resolve);
    });
    return collector;
  }

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests that wait for `answerHeld`. */
  get held(): number {
    return this.#held.length;
  }

  answerHeld(status: number): void {
    for (const response of this.#held.splice(0)) response.writeHead(status).end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Resolves with all spans once there are so many of this name. */
  async named(name: string, count = 1): Promise<readonly CollectedSpan[]> {
    const of = (): CollectedSpan[] => this.spans.filter((span) => span.name === name);
    await until(() => of().length >= count);
    return of();
  }

  /** The only span of this name that is a child of `parent`. */
  childOf(parent: CollectedSpan, name: string): CollectedSpan {
    const found = this.spans.filter(
      (span) => span.name === name && span.parentId === parent.spanId,
    );
    const [child] = found;
    assert.equal(found.length, 1, `${name} below ${parent.name}`);
    assert.ok(child !== undefined);
    assert.equal(child.traceId, parent.traceId);
    assert.ok(child.startNs >= parent.startNs, `${name} begins before ${parent.name}`);
    assert.ok(child.endNs <= parent.endNs, `${name} ends after ${parent.name}`);
    assert.ok(child.startNs <= child.endNs, `${name} ends before it begins`);
    return child;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    const body = await buffer(request);
    if (this.mood === "hangs") return;
    if (this.mood === "holds") {
      this.bodies.push(body);
      this.#held.push(response);
      return;
    }
    if (this.mood === "refuses") {
      response.writeHead(500).end();
      return;
    }
    assert.equal(request.method, "POST");
    assert.equal(request.url, "/v1/traces");
    assert.equal(request.headers["content-type"], "application/x-protobuf");
    this.bodies.push(body);
    this.spans.push(...spansOf(body));
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  }
}

interface WireKeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, string | number | boolean>>;
}

interface WireSpan {
  readonly trace_id: Buffer;
  readonly span_id: Buffer;
  readonly parent_span_id: Buffer;
  readonly trace_state: string;
  readonly name: string;
  readonly kind: number;
  readonly start_time_unix_nano: string;
  readonly end_time_unix_nano: string;
  readonly attributes: readonly WireKeyValue[];
  readonly links: readonly { readonly trace_id: Buffer; readonly span_id: Buffer }[];
  readonly status: { readonly code: number; readonly message: string } | null;
}

interface WireRequest {
  readonly resource_spans: readonly {
    readonly resource: { readonly attributes: readonly WireKeyValue[] };
    readonly scope_spans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
}

export function spansOf(body: Buffer): CollectedSpan[] {
  const settings = { longs: String, arrays: true, defaults: true, bytes: Buffer } as const;
  const request = requestType.toObject(requestType.decode(body), settings) as WireRequest;
  return request.resource_spans.flatMap(({ resource, scope_spans: scopes }) =>
    scopes.flatMap(({ spans }) =>
      spans.map((span) => spanOf(span, attributesOf(resource.attributes))),
    ),
  );
}

const kinds = ["", "internal", "server", "client"] as const;

function spanOf(wire: WireSpan, resource: CollectedSpan["resource"]): CollectedSpan {
  const kind = kinds[wire.kind];
  assert.ok(kind !== undefined && kind !== "", `a span of kind ${wire.kind}`);
  assert.equal(wire.trace_id.length, 16);
  assert.equal(wire.span_id.length, 8);
  return {
    name: wire.name,
    traceId: wire.trace_id.toString("hex"),
    spanId: wire.span_id.toString("hex"),
    parentId: wire.parent_span_id.toString("hex"),
    traceState: wire.trace_state,
    kind,
    startNs: BigInt(wire.start_time_unix_nano),
    endNs: BigInt(wire.end_time_unix_nano),
    attributes: attributesOf(wire.attributes),
    links: wire.links.map((link) => ({
      traceId: link.trace_id.toString("hex"),
      spanId: link.span_id.toString("hex"),
    })),
    error: wire.status?.code === 2 ? wire.status.message : null,
    resource,
  };
}

function attributesOf(pairs: readonly WireKeyValue[]): Readonly<Record<string, Value>> {
  return Object.fromEntries(
    pairs.map(({ key, value }) => {
      const { string_value: text, bool_value: flag, int_value: whole, double_value: real } = value;
      return [key, text ?? flag ?? (whole === undefined ? real : Number(whole)) ?? ""];
    }),
  );
}
