/** What callers over gRPC could keep from everybody else without sending anything, and what they were not told. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import { type ServiceError, status } from "@grpc/grpc-js";
import { type EchoServer, startEcho } from "../support/echo-server.js";
import { GrpcClient } from "../support/grpc-client.js";
import { until } from "../support/real-server.js";

function urlOf({ server }: EchoServer): string {
  return server.otherUrls.find((url) => url.startsWith("grpc")) ?? assert.fail("no gRPC");
}

const ask = (text: string, id = ""): Record<string, unknown> => ({
  model_name: "echo",
  id,
  inputs: [
    {
      name: "text",
      datatype: "BYTES",
      shape: [1],
      contents: { bytes_contents: [Buffer.from(text)] },
    },
  ],
});

/** The first reply of a stream that was just opened; null where it was refused for want of a place. */
async function firstReply(client: GrpcClient): Promise<object | null> {
  const call = client.stream("ModelStreamInfer");
  call.write(ask("abc"));
  return await new Promise((resolve, reject) => {
    call.on("data", (reply: object) => {
      resolve(reply);
      call.cancel();
    });
    call.on("error", ({ code }: ServiceError) => {
      if (code === status.RESOURCE_EXHAUSTED) resolve(null);
      else if (code !== status.CANCELLED) reject(new Error(`status ${code}`));
    });
  });
}

test("defect: a call that sends no message keeps its place from nobody who waits", async () => {
  const MiB = 1024 * 1024;
  // A place for one message.
  const limits = { grpcMessageBytesMax: 60 * MiB, bodiesBytesMax: 64 * MiB };
  await using echo = await startEcho({ grpcPort: 0, ...limits });
  const session = connect(urlOf(echo).replace("grpc", "http"));
  session.on("error", () => {});
  const stalled = session.request({
    ":method": "POST",
    ":path": "/inference.GRPCInferenceService/ModelInfer",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stalled.on("error", () => {});
  const told = once(stalled, "response") as Promise<[Record<string, string>]>;
  using client = new GrpcClient(urlOf(echo));
  const { reply } = await client.call("ModelInfer", ask("abc"));
  assert.ok(reply["outputs"]);
  const [headers] = await told;
  assert.equal(headers["grpc-status"], String(status.DEADLINE_EXCEEDED));
  assert.equal(headers["millrace-code"], "body_timeout");
  session.destroy();
});

test("defect: streams that idle give way to one that works; those that watch take no place of theirs", async () => {
  await using echo = await startEcho({ grpcPort: 0 });
  using client = new GrpcClient(urlOf(echo));
  using watcher = new GrpcClient(urlOf(echo), { service: "grpc.health.v1.Health" });
  const watches = Array.from({ length: 70 }, () => watcher.watch("Watch", { service: "" }));
  const refusals: ServiceError[] = [];
  for (const watch of watches) watch.on("error", (error: ServiceError) => refusals.push(error));
  await Promise.all(watches.map((watch) => once(watch, "data")));
  const idle = Array.from({ length: 64 }, () => client.stream("ModelStreamInfer"));
  const ended = new Promise<ServiceError>((resolve) => {
    for (const stream of idle) stream.on("error", resolve);
  });
  await Promise.all(idle.map((stream) => once(stream, "metadata")));
  using other = new GrpcClient(urlOf(echo));
  assert.ok(await until(() => firstReply(other)));
  const { code, metadata } = await ended;
  assert.equal(code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(metadata.get("millrace-code"), ["queue_full"]);
  assert.deepEqual(refusals, []);
  for (const call of [...idle, ...watches]) {
    call.on("error", () => {});
    call.cancel();
  }
});

test("defect: what the library refuses by its length is told with our code, and who answered", async () => {
  await using echo = await startEcho({ grpcPort: 0, grpcMessageBytesMax: 4_096 });
  using client = new GrpcClient(urlOf(echo));
  const refusal: unknown = await client.call("ModelInfer", ask("x".repeat(8_192))).then(
    () => assert.fail("it was answered"),
    (reason: unknown) => reason,
  );
  const { code, metadata } = refusal as ServiceError;
  assert.equal(code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(metadata.get("millrace-code"), ["body_too_large"]);
  assert.equal(metadata.get("x-request-id").length, 1);
});

test("defect: a stream with more requests under way than ten warns of no leak", async (t) => {
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  t.after(() => process.off("warning", warned));
  await using echo = await startEcho({ grpcPort: 0 });
  echo.submit.hold();
  using client = new GrpcClient(urlOf(echo));
  const call = client.stream("ModelStreamInfer");
  for (let at = 0; at < 32; at += 1) call.write(ask("abc", String(at)));
  await echo.submit.arrived(32);
  echo.submit.release();
  call.end();
  let replies = 0;
  call.on("data", () => {
    replies += 1;
  });
  await once(call, "end");
  assert.equal(replies, 32);
  assert.deepEqual(warnings, []);
});
