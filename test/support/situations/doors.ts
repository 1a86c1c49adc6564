/** What is refused, or takes too long, before anything is queued; and a server that stops. */
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { FakeModels } from "../fake-models.js";
import { Keys } from "../keys.js";
import { graphBytes } from "../onnx-graph.js";
import { TempDir } from "../temp-dir.js";
import { until } from "../until.js";
import { ClosedLoop, sentence, sentences } from "./load.js";
import { type Situation, situation } from "./situation.js";
import { AskedEarly } from "./starting.js";
import { seen, TimedServer } from "./timed-server.js";

const wideBy = 400_000;

/** Little to compute and much to read and write. */
const wide = graphBytes({
  nodes: [{ opType: "Add", input: ["x", "x"], output: ["y"] }],
  inputs: [{ name: "x", type: "FP32", shape: ["n", wideBy] }],
  outputs: [{ name: "y", type: "FP32", shape: ["n", wideBy] }],
});

export const doorSituations: readonly Situation[] = [
  situation("the event loop is late", "front-late", async () => {
    await using dir = await TempDir.make();
    await mkdir(dir.file("wide"));
    await writeFile(dir.file("wide", "model.onnx"), wide);
    await using server = await TimedServer.start({ models: dir.path, workers: "real" });
    const data = Array.from({ length: wideBy }, (_, at) => at % 100);
    const body = JSON.stringify({
      inputs: [{ name: "x", shape: [1, wideBy], datatype: "FP32", data }],
    });
    await using _ = new ClosedLoop(server.url, 6, () => ({ path: "/v2/models/wide/infer", body }));
    await delay(1_500);
    return await seen(server.url);
  }),
  situation("inputs take longer to read than to compute", "prepare-slow", async () => {
    process.env["TIMED_FACTOR"] = "0";
    try {
      await using server = await TimedServer.start({ pipelines: 2 });
      await using load = new ClosedLoop(server.url, 12, (caller) => ({
        path: "/v1/tokenize",
        body: { texts: sentences(200, 40).map((text) => `${text} ${caller}`) },
      }));
      await until(() => load.replies > 0);
      return await seen(server.url);
    } finally {
      delete process.env["TIMED_FACTOR"];
    }
  }),
  situation("connections are used up", "connections-full", async () => {
    await using server = await TimedServer.start({ workers: "fake", connectionsMax: 32 });
    const { hostname, port } = new URL(server.url);
    const sockets = Array.from({ length: 30 }, () => connect(Number(port), hostname));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    // Who says nothing at all is sent away sooner than who is in the middle of it.
    for (const socket of sockets)
      socket.on("error", () => {}).write("POST /v1/translate HTTP/1.1\r\nhost: a\r\n");
    try {
      return await seen(server.url);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  }),
  situation("a key is held to its rate", "rate-limited", async () => {
    await using keys = await Keys.make();
    const key = await keys.add("shop", { ratePerSecond: 2 });
    const admin = await keys.add("ops", { admin: true });
    await using server = await TimedServer.start({ workers: "fake", keys: keys.path });
    await using _ = new ClosedLoop(server.url, 2, () => ({
      headers: { authorization: `Bearer ${key}` },
      body: { texts: [sentence(3)] },
    }));
    return await seen(server.url, { key: admin });
  }),
  situation("callers send what is no request", "requests-wrong", async () => {
    await using server = await TimedServer.start({ workers: "fake" });
    await using _ = new ClosedLoop(server.url, 2, () => ({ body: "{" }));
    return await seen(server.url);
  }),
  situation("the server drains", "draining", async () => {
    using models = new FakeModels();
    await using server = await AskedEarly.start(models.dir);
    await until(async () => (await fetch(`${server.url}/ready`)).ok);
    const held = new AbortController();
    const slow = fetch(`${server.url}/v1/translate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new ReadableStream({
        start: (stream) => stream.enqueue(new TextEncoder().encode("{")),
      }),
      duplex: "half",
      signal: held.signal,
    } as RequestInit).catch(() => null);
    await until(async () => {
      const status = (await (await fetch(`${server.url}/status`)).json()) as {
        process: { bodiesBytes: number };
      };
      return status.process.bodiesBytes > 0;
    });
    server.terminate();
    try {
      return await seen(server.url);
    } finally {
      held.abort();
      await slow;
    }
  }),
];
