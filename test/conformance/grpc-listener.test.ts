/** The gRPC listener: departures, deadlines, draining, keys and certificates; before an echo that waits when it is told to. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { test } from "node:test";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { MillraceError } from "millrace-client/wire";
import { changeKeyFile, newKey } from "#src/access/key-file.js";
import type { Options } from "#src/options/options.js";
import { makeCertificate } from "../support/certificate.js";
import { type EchoServer, startEcho } from "../support/echo-server.js";
import { GrpcClient } from "../support/grpc-client.js";
import { until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

class Echo implements AsyncDisposable {
  readonly echo: EchoServer;
  readonly client: GrpcClient;

  private constructor(echo: EchoServer, client: GrpcClient) {
    this.echo = echo;
    this.client = client;
  }

  static async start(
    options: Partial<Options> = {},
    client: ConstructorParameters<typeof GrpcClient>[1] = {},
  ): Promise<Echo> {
    const echo = await startEcho({ grpcPort: 0, ...options });
    return new Echo(echo, new GrpcClient(urlOf(echo), client));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.echo[Symbol.asyncDispose]();
  }
}

function urlOf({ server }: EchoServer): string {
  return server.otherUrls.find((url) => url.startsWith("grpc")) ?? assert.fail("no gRPC");
}

const ask = (texts: readonly string[], more: object = {}): Record<string, unknown> => ({
  model_name: "echo",
  inputs: [
    {
      name: "text",
      datatype: "BYTES",
      shape: [texts.length],
      contents: { bytes_contents: texts.map((text) => Buffer.from(text)) },
    },
  ],
  ...more,
});

async function refused(work: Promise<unknown>): Promise<ServiceError> {
  try {
    await work;
  } catch (error) {
    return error as ServiceError;
  }
  return assert.fail("it was answered");
}

test("a text model is asked in tensors of texts, and answers so", async () => {
  await using made = await Echo.start();
  const { reply, headers } = await made.client.call(
    "ModelInfer",
    ask(["abc", "中文"], { id: "me" }),
    {
      metadata: { "x-request-id": "mine" },
    },
  );
  assert.equal(reply["id"], "me");
  const [translation, score] = reply["outputs"] as Record<string, unknown>[];
  assert.deepEqual([translation?.["name"], translation?.["datatype"]], ["translation", "BYTES"]);
  assert.deepEqual(translation?.["shape"], ["2"]);
  const contents = translation?.["contents"] as { bytes_contents: Buffer[] } | undefined;
  assert.deepEqual(contents?.bytes_contents.map(String), ["cba", "文中"]);
  assert.equal(score?.["name"], "score");
  assert.deepEqual(headers.get("x-request-id"), ["mine"]);
  const [seen] = made.echo.submit.seen;
  assert.equal(seen?.request.id, "mine");
});

test("one bad row fails the request and is named; codes are told in the trailing metadata", async () => {
  await using made = await Echo.start();
  const { client, echo } = made;
  const bad = await refused(client.call("ModelInfer", ask(["a", "!b"])));
  assert.equal(bad.code, status.INVALID_ARGUMENT);
  assert.match(bad.details, /^row 1: It begins with a bang/);
  assert.deepEqual(bad.metadata.get("millrace-code"), ["item_failed"]);
  assert.match(String(bad.metadata.get("x-millrace-deployment")[0]), /environment=/);
  echo.submit.refuseWith = new MillraceError("queue_full", "no room for 中", {
    retryAfterMs: 2_500,
  });
  const full = await refused(client.call("ModelInfer", ask(["a"])));
  assert.equal(full.code, status.RESOURCE_EXHAUSTED);
  assert.equal(full.details, "no room for 中");
  assert.deepEqual(full.metadata.get("retry-after"), ["3"]);
  assert.deepEqual(full.metadata.get("grpc-retry-pushback-ms"), ["2500"]);
  const retry = { retryAfterMs: 1_100 };
  echo.submit.refuseWith = new MillraceError("deadline_too_soon", "others wait", retry);
  const soon = await refused(client.call("ModelInfer", ask(["a"])));
  assert.equal(soon.code, status.RESOURCE_EXHAUSTED, "no deadline that is over: it may come again");
  assert.deepEqual(soon.metadata.get("millrace-code"), ["deadline_too_soon"]);
  assert.deepEqual(soon.metadata.get("grpc-retry-pushback-ms"), ["1100"]);
  echo.submit.refuseWith = new Error("a bug with a secret in it");
  const bug = await refused(client.call("ModelInfer", ask(["a"])));
  assert.equal(bug.code, status.INTERNAL);
  assert.doesNotMatch(bug.details, /secret/);
  echo.submit.refuseWith = null;
  const expecting = { metadata: { "x-millrace-expect": "environment=elsewhere" } };
  const other = await refused(client.call("ModelInfer", ask(["a"]), expecting));
  assert.equal(other.code, status.FAILED_PRECONDITION);
  assert.deepEqual(other.metadata.get("millrace-code"), ["deployment_mismatch"]);
  const none = await refused(client.call("ModelInfer", ask(["a"], { model_name: "none" })));
  assert.equal(none.code, status.NOT_FOUND);
});

test("who cancels and who is late costs no further run", async () => {
  await using made = await Echo.start();
  const { client, echo } = made;
  echo.submit.hold();
  const leaving = new AbortController();
  const gone = new AbortController();
  const left = refused(client.call("ModelInfer", ask(["a"]), { signal: leaving.signal }));
  await echo.submit.arrived(1);
  leaving.abort();
  assert.equal((await left).code, status.CANCELLED);
  await until(() => echo.submit.seen[0]?.signal.aborted === true);
  const arrived = echo.submit.arrived(2);
  // On a busy machine who has little time has gone before the call is there.
  for (let timeMs = 400; echo.submit.seen.length < 2; timeMs *= 2) {
    const late = refused(client.call("ModelInfer", ask(["a"]), { deadline: Date.now() + timeMs }));
    await Promise.race([arrived, late]);
    for (const { request } of echo.submit.seen.slice(1)) {
      const inMs = (request.deadlineAtMs ?? Infinity) - performance.now();
      assert.ok(inMs <= timeMs, `its deadline is the caller's own, in ${inMs} ms`);
    }
    assert.equal((await late).code, status.DEADLINE_EXCEEDED);
  }
  await until(() => echo.submit.seen.every(({ signal }) => signal.aborted));
  // The parameter `timeout` is in microseconds, and priority 2 is bulk.
  const parameters = { timeout: { int64_param: 250_000 }, priority: { uint64_param: 2 } };
  const deadline = Date.now() + 30_000;
  const third = refused(
    client.call("ModelInfer", ask(["a"], { parameters }), { deadline, signal: gone.signal }),
  );
  const { request } = await until(
    () => echo.submit.seen.find((each) => each.request.class === "bulk") ?? null,
  );
  assert.ok((request.deadlineAtMs ?? Infinity) - performance.now() <= 250);
  gone.abort();
  assert.equal((await third).code, status.CANCELLED);
});

test("two hundred callers on one connection each get their own", async () => {
  await using made = await Echo.start();
  const { client, echo } = made;
  echo.submit.hold();
  const calls = Array.from({ length: 200 }, (_, at) => client.call("ModelInfer", ask([`t${at}`])));
  await echo.submit.arrived(200);
  echo.submit.release();
  const texts = (await Promise.all(calls)).map(({ reply }) => {
    const [output] = reply["outputs"] as { contents: { bytes_contents: Buffer[] } }[];
    return String(output?.contents.bytes_contents[0]);
  });
  assert.deepEqual(
    texts,
    Array.from({ length: 200 }, (_, at) => `${String(at).split("").toReversed().join("")}t`),
  );
});

test("a stream answers as it can, tells of what failed by its id, and goes on", async () => {
  await using made = await Echo.start();
  const stream = made.client.stream("ModelStreamInfer");
  const replies: Record<string, unknown>[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    stream.on("data", (reply: Record<string, unknown>) => replies.push(reply));
    stream.on("end", resolve);
    stream.on("error", reject);
  });
  const count = 120;
  for (let at = 0; at < count; at += 1) {
    const text = at % 10 === 3 ? `!${at}` : `t${at}`;
    stream.write(ask([text], { id: `${at}` }));
  }
  stream.end();
  await ended;
  assert.equal(replies.length, count);
  const byId = new Map(
    replies.map((reply) => {
      const { id } = reply["infer_response"] as { id: string };
      return [Number(id), String(reply["error_message"])] as const;
    }),
  );
  for (let at = 0; at < count; at += 1) {
    assert.equal(byId.get(at), at % 10 === 3 ? "It begins with a bang." : "", `${at}`);
  }
});

test("a stream whose caller leaves is over, whatever is under way", async () => {
  await using made = await Echo.start();
  const { submit } = made.echo;
  submit.hold();
  const stream = made.client.stream("ModelStreamInfer");
  stream.on("error", () => {});
  stream.on("data", () => {});
  for (let at = 0; at < 50; at += 1) stream.write(ask([`t${at}`]));
  // So many are under way at once, and no more are read.
  await submit.arrived(32);
  stream.cancel();
  await until(() => submit.seen.every(({ signal }) => signal.aborted));
  assert.equal(submit.seen.length, 32);
});

test("draining ends watches and streams, refuses new calls, and waits for those that are under way", async () => {
  await using made = await Echo.start();
  const { client, echo } = made;
  using health = new GrpcClient(urlOf(echo), { service: "grpc.health.v1.Health" });
  const watch = health.watch("Watch", { service: "" });
  const states: unknown[] = [];
  const watched = new Promise<void>((resolve) => {
    watch.on("data", ({ status: state }: { status: string }) => states.push(state));
    watch.on("error", () => resolve());
    watch.on("end", () => resolve());
  });
  await until(() => states.length > 0);
  const stream = client.stream("ModelStreamInfer");
  stream.on("data", () => {});
  const streamed = new Promise<ServiceError>((resolve) => stream.on("error", resolve));
  echo.submit.hold();
  const call = client.call("ModelInfer", ask(["abc"]));
  await echo.submit.arrived(1);
  const closing = echo.server.close();
  await watched;
  assert.deepEqual(states, ["SERVING", "NOT_SERVING"]);
  assert.equal((await streamed).code, status.UNAVAILABLE);
  const refusal = await refused(client.call("ModelInfer", ask(["late"])));
  assert.equal(refusal.code, status.UNAVAILABLE);
  echo.submit.release();
  assert.ok((await call).reply["outputs"]);
  assert.equal(await closing, true, "nothing was cut off");
});

test("keys: none, a wrong one, one that may, one that may administrate", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("keys.json");
  await changeKeyFile(path, () => [], "create");
  const { key, sha256 } = newKey();
  const record = { name: "some", sha256, createdAt: new Date().toISOString(), models: ["echo"] };
  await changeKeyFile(path, () => [record], "refuse");
  await using made = await Echo.start({ keys: path });
  const { client, echo } = made;
  const withKey = { metadata: { authorization: `Bearer ${key}` } };
  for (const metadata of [{}, { authorization: "Bearer mr_nobody" }, { "x-api-key": "no" }]) {
    const none = await refused(client.call("ModelInfer", ask(["a"]), { metadata }));
    assert.equal(none.code, status.UNAUTHENTICATED, JSON.stringify(metadata));
  }
  assert.equal(echo.submit.seen.length, 0);
  assert.ok((await client.call("ModelInfer", ask(["a"]), withKey)).reply["outputs"]);
  const byHeader = { metadata: { "x-api-key": key } };
  assert.ok((await client.call("ServerMetadata", {}, byHeader)).reply["name"]);
  const other = await refused(
    client.call("ModelInfer", ask(["a"], { model_name: "other" }), withKey),
  );
  assert.equal(other.code, status.PERMISSION_DENIED);
  const admin = await refused(
    client.call("RepositoryModelUnload", { model_name: "echo" }, withKey),
  );
  assert.equal(admin.code, status.PERMISSION_DENIED);
  using health = new GrpcClient(urlOf(echo), { service: "grpc.health.v1.Health" });
  assert.deepEqual((await health.call("Check", {})).reply, { status: "SERVING" });
});

test("TLS: the certificate of the other listeners, and nothing without it", async () => {
  await using dir = await TempDir.make();
  const { cert, key } = makeCertificate();
  await writeFile(dir.file("cert.pem"), cert);
  await writeFile(dir.file("key.pem"), key);
  const options = { tlsCert: dir.file("cert.pem"), tlsKey: dir.file("key.pem") };
  const channel = credentials.createSsl(Buffer.from(cert));
  await using made = await Echo.start(options, { channel });
  assert.match(urlOf(made.echo), /^grpcs:/);
  assert.deepEqual((await made.client.call("ServerLive", {})).reply, { live: true });
  using plain = new GrpcClient(urlOf(made.echo));
  const none = await refused(plain.call("ServerLive", {}, { deadline: Date.now() + 2_000 }));
  assert.ok([status.UNAVAILABLE, status.DEADLINE_EXCEEDED].includes(none.code));
});

test("TLS: a certificate is replaced without a restart; what is open stays open", async () => {
  await using dir = await TempDir.make();
  const options = { tlsCert: dir.file("cert.pem"), tlsKey: dir.file("key.pem") };
  const [before, after] = [makeCertificate(), makeCertificate()];
  const write = async ({ cert, key }: typeof before): Promise<void> => {
    await writeFile(options.tlsKey, key);
    await writeFile(options.tlsCert, cert);
  };
  await write(before);
  const channel = credentials.createSsl(Buffer.from(before.cert));
  await using made = await Echo.start(options, { channel });
  assert.deepEqual((await made.client.call("ServerLive", {})).reply, { live: true });
  await write(after);
  await until(async () => {
    using fresh = new GrpcClient(urlOf(made.echo), {
      channel: credentials.createSsl(Buffer.from(after.cert)),
    });
    const called = fresh.call("ServerLive", {}, { deadline: Date.now() + 2_000 });
    return await called.then(
      () => true,
      () => false,
    );
  });
  assert.deepEqual((await made.client.call("ServerLive", {})).reply, { live: true });
});

test("what is no gRPC, and more connections than may be, harm nobody", async () => {
  await using made = await Echo.start({ connectionsMax: 3 });
  const { port } = new URL(urlOf(made.echo).replace("grpc", "http"));
  assert.deepEqual((await made.client.call("ServerLive", {})).reply, { live: true });
  const sockets = Array.from({ length: 6 }, () => connect(Number(port), "127.0.0.1"));
  let closed = 0;
  for (const socket of sockets) {
    socket.resume();
    socket.on("error", () => {});
    socket.on("close", () => {
      closed += 1;
    });
  }
  // One is the client's; two have a place.
  await until(() => closed >= 4);
  for (const socket of sockets) socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await until(() => closed === 6);
  assert.deepEqual((await made.client.call("ServerLive", {})).reply, { live: true });
  const strange = await refused(made.client.callBytes("ModelInfer", Buffer.from([0xff, 0xff])));
  assert.equal(strange.code, status.INVALID_ARGUMENT);
  assert.deepEqual(strange.metadata.get("millrace-code"), ["bad_request"]);
});
