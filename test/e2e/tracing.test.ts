/** Traces of real requests through real servers, as a collector gets them. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { type CreateServerOptions, createServer, type MillraceServer } from "#src/index.js";
import { GrpcClient } from "../support/grpc-client.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { type CollectedSpan, OtlpCollector } from "../support/otlp-collector.js";
import { getReady, post, postJson, sentences, startReal, until } from "../support/real-server.js";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";
import { WsClient } from "../support/ws-client.js";

const limit = { timeout: 60_000 };
const text = sentences[0] ?? "";
const caller = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const sampled = `00-${caller.traceId}-${caller.spanId}-01`;
const unsampled = `00-${caller.traceId}-${caller.spanId}-00`;

let models: TempDir;

before(async () => {
  models = await TempDir.make();
  await writeFile(models.file("look-up.onnx"), lookUp);
  await writeMadeEncoder(models.file("embed"), { inputTokensMax: 64 });
});

after(() => models[Symbol.asyncDispose]());

/** Of small models, which are there when this resolves. */
async function startSmall(
  collector: OtlpCollector,
  options: CreateServerOptions = {},
): Promise<MillraceServer> {
  const server = await createServer({
    models: models.path,
    port: 0,
    pipelines: 1,
    threads: 1,
    logLevel: "silent",
    otlpUrl: collector.url,
    ...options,
  });
  await until(async () => (await getReady(server.url)).body.models.every(({ ready }) => ready));
  return server;
}

async function embedded(url: string, traceparent?: string): Promise<Response> {
  const headers = traceparent === undefined ? {} : { traceparent };
  const response = await postJson(`${url}/v1/embed`, { texts: ["one text"] }, { headers });
  assert.equal(response.status, 200, await response.clone().text());
  await response.arrayBuffer();
  return response;
}

/** Its log, a record each. */
class Log {
  readonly records: Record<string, unknown>[] = [];

  write(line: string): void {
    this.records.push(JSON.parse(line) as Record<string, unknown>);
  }
}

/** Request, prepare, queue, compute and reply, each in its parent; and the batches that `compute` links to. */
async function treeOf(
  collector: OtlpCollector,
  request: CollectedSpan,
): Promise<{ readonly compute: CollectedSpan; readonly batches: readonly CollectedSpan[] }> {
  assert.equal(request.kind, "server");
  const [prepare, queue, compute, reply] = ["prepare", "queue", "compute", "reply"].map((name) =>
    collector.childOf(request, name),
  );
  assert.ok(prepare && queue && compute && reply);
  assert.ok(prepare.endNs <= queue.startNs && queue.endNs <= compute.startNs);
  assert.ok(compute.endNs <= reply.startNs);
  assert.ok(compute.links.length > 0);
  const batches = await Promise.all(
    compute.links.map(async (link) => {
      const named = await until(
        () => collector.spans.find(({ spanId }) => spanId === link.spanId) ?? null,
      );
      assert.equal(named.traceId, link.traceId);
      return named;
    }),
  );
  for (const batch of batches) {
    assert.equal(batch.name, "batch");
    assert.ok(batch.links.some(({ spanId }) => spanId === compute.spanId));
  }
  return { compute, batches };
}

// Most of each is waiting for spans, which are sent once a second.
describe("traces", { concurrency: 3 }, () => {
  test(
    "a request's trace: its caller's, from the door to its stages, and none of its words",
    limit,
    async () => {
      await using collector = await OtlpCollector.start();
      const log = new Log();
      const logged = { log: "json", logLevel: "debug", logDestination: log } as const;
      await using server = await startReal({ pipelines: 1, otlpUrl: collector.url, ...logged });
      const headers = { traceparent: sampled, tracestate: "vendor=1" };
      const response = await post(server.url, { texts: [text] }, { headers });
      assert.equal(response.status, 200, await response.text());
      const [request] = await collector.named("POST /v1/translate");
      assert.ok(request !== undefined);
      assert.deepEqual([request.traceId, request.parentId], [caller.traceId, caller.spanId]);
      assert.equal(request.traceState, "vendor=1");
      assert.equal(
        response.headers.get("traceresponse"),
        `00-${request.traceId}-${request.spanId}-01`,
      );
      const { compute, batches } = await treeOf(collector, request);
      const [batch] = batches;
      assert.ok(batch !== undefined && batches.length === 1);
      // It had the pipeline for itself.
      assert.equal(batch.parentId, compute.spanId);
      collector.childOf(compute, "batch");
      const stages = collector.spans.filter(({ parentId }) => parentId === batch.spanId);
      assert.deepEqual(stages.map(({ name }) => name).sort(), ["stage decode", "stage encode"]);
      for (const stage of stages) {
        collector.childOf(batch, stage.name);
        assert.ok(Number(stage.attributes["millrace.stage.runs"]) > 0);
      }
      const { attributes } = request;
      const expected = {
        "http.request.method": "POST",
        "http.route": "/v1/translate",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "millrace.request.id": response.headers.get("x-request-id"),
        "millrace.task": "translate",
        "millrace.model": "en-zh",
        "millrace.class": "realtime",
        "millrace.tenant": "default",
        "millrace.inputs": 1,
      };
      assert.deepEqual(attributes, expected);
      assert.equal(request.resource["service.name"], "millrace");
      const words = text.split(" ").filter((word) => word.length > 4);
      const sent = Buffer.concat(collector.bodies).toString("latin1");
      assert.deepEqual(
        words.filter((word) => sent.includes(word)),
        [],
      );
      const line = log.records.find(({ msg }) => msg === "request");
      assert.deepEqual([line?.["traceId"], line?.["spanId"]], [request.traceId, request.spanId]);
    },
  );

  test(
    "several callers: a batch of more than one has its own trace, with links to all of them",
    limit,
    async () => {
      await using collector = await OtlpCollector.start();
      await using server = await startSmall(collector);
      const shared = await until(async () => {
        await Promise.all(Array.from({ length: 8 }, () => embedded(server.url)));
        return (
          collector.spans.find(({ name, links }) => name === "batch" && links.length > 1) ?? null
        );
      });
      assert.equal(shared.parentId, "");
      assert.equal(shared.attributes["millrace.batch.requests"], shared.links.length);
      const requests = await until(() => {
        const found = shared.links.map(({ spanId }) =>
          collector.spans.find((span) => span.spanId === spanId),
        );
        return found.every((span) => span !== undefined) ? found : null;
      });
      for (const compute of requests) {
        assert.equal(compute.name, "compute");
        assert.notEqual(compute.traceId, shared.traceId);
        assert.ok(compute.links.some(({ spanId }) => spanId === shared.spanId));
      }
    },
  );

  test(
    "which requests are kept: as their callers say, else by the ratio; a traceparent that is wrong is none",
    limit,
    async () => {
      await using collector = await OtlpCollector.start();
      await using all = await startSmall(collector);
      await using none = await startSmall(collector, { traceSampleRatio: 0 });
      const wrong = [
        sampled.toUpperCase(),
        `ff${sampled.slice(2)}`,
        `${sampled}-more`,
        `00-${"0".repeat(32)}-${caller.spanId}-01`,
        `00-${caller.traceId}-${"0".repeat(16)}-01`,
        "x",
      ];
      assert.equal((await embedded(all.url, unsampled)).headers.get("traceresponse"), null);
      assert.equal((await embedded(none.url)).headers.get("traceresponse"), null);
      for (const traceparent of wrong) {
        const answer = (await embedded(all.url, traceparent)).headers.get("traceresponse") ?? "";
        assert.ok(!answer.includes(caller.traceId), traceparent);
        await embedded(none.url, traceparent);
      }
      const later = await embedded(none.url, `cc${sampled.slice(2)}-of a later version`);
      assert.ok(later.headers.get("traceresponse")?.includes(caller.traceId));
      // Spans come in the order in which they ended: there is nothing of those before.
      await until(
        () => collector.spans.filter(({ kind }) => kind === "server").length > wrong.length,
      );
      const servers = collector.spans.filter(({ kind }) => kind === "server");
      assert.equal(servers.length, wrong.length + 1);
      const roots = servers.filter(({ parentId }) => parentId === "");
      assert.equal(new Set(roots.map(({ traceId }) => traceId)).size, wrong.length);
    },
  );

  test(
    "refusals, over gRPC, over WebSocket, and of a job: whose trace it is, and how it ended",
    limit,
    async () => {
      await using data = await TempDir.make();
      await using collector = await OtlpCollector.start();
      await using server = await startSmall(collector, { grpcPort: 0, data: data.path });
      const headers = { traceparent: sampled };
      await postJson(`${server.url}/v1/embed`, { texts: [] }, { headers });
      const [grpcUrl = ""] = server.otherUrls;
      using client = new GrpcClient(grpcUrl);
      const at = Buffer.from(BigInt64Array.from([1n]).buffer);
      const asked = {
        model_name: "look-up",
        inputs: [{ name: "at", datatype: "INT64", shape: [1] }],
        raw_input_contents: [at],
      };
      await client.call("ModelInfer", asked, { metadata: headers });
      await using socket = await WsClient.open(`${server.url}/v1/stream`);
      const message = { type: "request", id: "1", task: "embed", texts: ["one"], ...headers };
      socket.say(message);
      await socket.until(({ type }) => type === "done");
      socket.say({ ...message, traceparent: 7 });
      const last = (await socket.until(({ type }) => type === "done" || type === "error")).at(-1);
      assert.equal(last?.type, "done", "a trace that cannot be read is none");
      const job = await fetch(`${server.url}/v1/jobs`, {
        method: "POST",
        headers: { "content-type": "application/x-ndjson", ...headers },
        body: '{"task":"embed"}\n"one"\n',
      });
      assert.equal(job.status, 202, await job.clone().text());
      const { job: made } = (await job.json()) as { readonly job: { readonly id: string } };

      const [line] = await collector.named("job /v1/embed");
      assert.ok(String(line?.attributes["millrace.request.id"]).includes(made.id));
      const [refused] = await collector.named("POST /v1/embed");
      assert.equal(refused?.attributes["millrace.error.code"], "input_empty");
      assert.equal(refused?.attributes["http.response.status_code"], 422);
      assert.equal(refused?.error, null, "not the server's fault");
      const [call] = await collector.named("inference.GRPCInferenceService/ModelInfer");
      assert.ok(call !== undefined);
      assert.deepEqual([call.traceId, call.parentId], [caller.traceId, caller.spanId]);
      assert.deepEqual([call.kind, call.attributes["rpc.response.status_code"]], ["server", "OK"]);
      for (const name of ["prepare", "queue", "compute"]) collector.childOf(call, name);
      const [first, second] = await collector.named("message /v1/stream", 2);
      assert.deepEqual([first?.traceId, first?.parentId], [caller.traceId, caller.spanId]);
      assert.deepEqual([second?.traceId === caller.traceId, second?.parentId], [false, ""]);
      assert.notEqual(line?.traceId, caller.traceId);
    },
  );

  test(
    "a collector that refuses, and one that hangs, slow no request; what is too much is dropped and counted",
    limit,
    async () => {
      await using collector = await OtlpCollector.start();
      collector.mood = "hangs";
      const bounds = { traceQueueSpansMax: 8, drainMs: 1_000 };
      // Of OpenTelemetry's own; read when the server opens.
      const exportMsMax = 500;
      process.env["OTEL_EXPORTER_OTLP_TIMEOUT"] = String(exportMsMax);
      await using server = await startSmall(collector, bounds);
      delete process.env["OTEL_EXPORTER_OTLP_TIMEOUT"];
      const dropped = async (): Promise<number> => {
        const text = await (await fetch(`${server.url}/metrics`)).text();
        const found = /^millrace_trace_spans_dropped_total\{reason="queue_full"\} (\d+)$/m.exec(
          text,
        );
        return Number(found?.[1] ?? 0);
      };
      let asked = 0;
      await until(async () => {
        asked += 1;
        await embedded(server.url);
        return (await dropped()) > 100;
      });
      // Not once a span: an embedding has six, and what the collector is sent has eight or has waited a second.
      assert.ok(collector.requests < asked, `${collector.requests} requests of ${asked}`);
      collector.mood = "refuses";
      assert.equal(
        await server.close(),
        true,
        "its requests were answered: it ends within its time",
      );
    },
  );

  test("a server that stops sends the spans that it has", limit, async () => {
    await using collector = await OtlpCollector.start();
    const server = await startSmall(collector);
    await embedded(server.url);
    await server.close();
    const names = new Set(collector.spans.map(({ name }) => name));
    for (const name of ["POST /v1/embed", "prepare", "queue", "compute", "batch", "reply"]) {
      assert.ok(names.has(name), name);
    }
  });

  test("from an edge to a node: one trace over both, each span by whoever did it", {
    ...limit,
    skip: skipWithoutNats,
  }, async () => {
    await using nats = await NatsServer.start();
    await using collector = await OtlpCollector.start();
    const joined = { nats: nats.url, otlpUrl: collector.url };
    await using node = await startSmall(collector, { ...joined, role: "node", node: "n1" });
    await using edge = await createServer({
      ...joined,
      models: models.path,
      port: 0,
      role: "edge",
      node: "e1",
      logLevel: "silent",
      traceSampleRatio: 0,
    });
    await until(async () => (await getReady(edge.url)).body.ready);
    await embedded(edge.url);
    await embedded(edge.url, sampled);
    const [request] = await collector.named("POST /v1/embed");
    assert.ok(request !== undefined);
    const asked = await until(
      () => collector.spans.find(({ name }) => name === "ask a node") ?? null,
    );
    const answered = await until(
      () => collector.spans.find(({ name }) => name === "answer an edge") ?? null,
    );
    await until(() => collector.spans.some(({ name }) => name === "batch"));
    assert.equal(collector.childOf(request, "ask a node"), asked);
    assert.deepEqual([asked.kind, asked.attributes["millrace.node"]], ["client", "n1"]);
    assert.deepEqual([answered.kind, answered.parentId], ["server", asked.spanId]);
    assert.equal(answered.traceId, caller.traceId);
    assert.equal(answered.resource["service.instance.id"], "n1");
    assert.equal(request.resource["service.instance.id"], "e1");
    for (const name of ["prepare", "queue", "compute"]) collector.childOf(answered, name);
    const servers = collector.spans.filter(({ kind }) => kind === "server");
    assert.equal(servers.length, 2, "what the edge does not keep the node does not keep");
    assert.ok(node.url.length > 0);
  });

  test(
    "exemplars stand in OpenMetrics and nowhere else, with every metric under the same name",
    limit,
    async () => {
      await using collector = await OtlpCollector.start();
      await using server = await startSmall(collector);
      await embedded(server.url, sampled);
      const accept =
        "application/openmetrics-text; version=1.0.0; q=0.6, text/plain;version=0.0.4;q=0.5";
      const page = async (headers: Readonly<Record<string, string>>): Promise<[string, string]> => {
        const response = await fetch(`${server.url}/metrics`, { headers });
        return [response.headers.get("content-type") ?? "", await response.text()];
      };
      // The pipeline reports what it ran behind the answer: each page is to have it.
      await until(async () => (await page({}))[1].includes("\nmillrace_stage_runs_total{"));
      const [openType, open] = await page({ accept });
      const [plainType, plain] = await page({});
      assert.match(openType, /^application\/openmetrics-text; version=1\.0\.0/);
      assert.match(plainType, /^text\/plain; version=0\.0\.4/);
      assert.ok(open.endsWith("# EOF\n"));
      const exemplar = new RegExp(
        `^millrace_request_seconds_bucket\\{.*\\} 1 # \\{trace_id="${caller.traceId}"\\}`,
        "m",
      );
      assert.match(open, exemplar);
      assert.ok(!plain.includes(caller.traceId));
      const names = (text: string): string[] =>
        [...new Set([...text.matchAll(/^(millrace_\w+)/gm)].map(([, name = ""]) => name))].sort();
      assert.deepEqual(names(open), names(plain));
      assert.match(open, /^# TYPE millrace_requests counter$/m);
    },
  );
});
