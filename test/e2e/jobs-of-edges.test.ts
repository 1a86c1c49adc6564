/** Durable jobs through edges, which have no pipelines: two of them, with keys, before one node that has none, as real servers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Millrace } from "millrace-client";
import type { JobReply, JobStatus } from "millrace-client/wire";
import OpenAI, { RateLimitError, toFile } from "openai";
import { type CreateServerOptions, createServer, type MillraceServer } from "#src/index.js";
import { Keys } from "../support/keys.js";
import { encoderWidth, writeMadeEncoder } from "../support/made-encoder.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const main = fileURLToPath(new URL("../support/jobs-commands.js", import.meta.url));

describe("durable jobs through edges", { skip: skipWithoutNats, timeout: 120_000 }, () => {
  let temp: TempDir;
  let nats: NatsServer;
  let keys: Keys;
  let key = "";
  let other = "";
  let third = "";
  let admin = "";
  const servers: MillraceServer[] = [];
  const called: string[] = [];
  const hooks = createHttpServer((request, response) => {
    void text(request).then((body) => {
      called.push((JSON.parse(body) as JobReply).job.id);
      response.end();
    });
  });

  async function serve(options: CreateServerOptions): Promise<MillraceServer> {
    const server = await createServer({
      port: 0,
      logLevel: "silent",
      nats: nats.url,
      models: temp.file("models"),
      ...options,
    });
    servers.push(server);
    return server;
  }

  const at = (place: number): string => servers[place]?.url ?? assert.fail("no such server");
  const [e1, e2, n1] = [0, 1, 2];
  const clientAt = (place: number, apiKey = key): Millrace => new Millrace(at(place), { apiKey });
  const openAiAt = (place: number, apiKey = key): OpenAI =>
    new OpenAI({ baseURL: `${at(place)}/v1`, apiKey, maxRetries: 0 });
  const lines = (count: number): readonly string[] =>
    Array.from({ length: count }, (_, line) => `hello world ${line}`);

  async function usedAt(edge: number, apiKey = key): Promise<number> {
    const headers = { authorization: `DeepL-Auth-Key ${apiKey}` };
    const said = (await (await fetch(`${at(edge)}/v2/usage`, { headers })).json()) as {
      readonly character_count: number;
    };
    return said.character_count;
  }

  before(async () => {
    temp = await TempDir.make();
    const embedding = {
      pooling: "mean",
      normalize: true,
      width: encoderWidth,
      own: false,
    } as const;
    await writeMadeEncoder(temp.file("models/words"), { embedding });
    nats = await NatsServer.start();
    keys = await Keys.make();
    key = await keys.add("shop");
    other = await keys.add("few", { quotaPerMonth: 300, tenant: "few" });
    third = await keys.add("third");
    admin = await keys.add("admin", { admin: true });
    await writeFile(temp.file("secret"), "a secret of some length");
    hooks.listen(0, "127.0.0.1");
    await once(hooks, "listening");
    const { port } = hooks.address() as AddressInfo;
    const shared = {
      jobCallbackHosts: `127.0.0.1:${port}`,
      jobCallbackSecret: temp.file("secret"),
      jobsTenantOpenMax: 3,
    };
    for (const node of ["e1", "e2"]) {
      const keysUsage = temp.file(`${node}.usage.json`);
      await serve({ ...shared, role: "edge", node, keys: keys.path, keysUsage });
    }
    await serve({ ...shared, role: "node", node: "n1", pipelines: 1, threads: 1, insecure: true });
    await until(
      async () => (await clientAt(e1).ready()).ready && (await clientAt(e2).ready()).ready,
    );
  });

  after(async () => {
    await Promise.all(servers.map((server) => server.close()));
    hooks.close();
    await nats[Symbol.asyncDispose]();
    await keys[Symbol.asyncDispose]();
    await temp[Symbol.asyncDispose]();
  });

  test("a batch of OpenAI's client: made at one edge, read at the other, its files too", async () => {
    const [one, two] = [openAiAt(e1), openAiAt(e2)];
    const row = (custom_id: string, input: unknown): string =>
      JSON.stringify({
        custom_id,
        method: "POST",
        url: "/v1/embeddings",
        body: { model: "words", input },
      });
    const body = [row("a", "hello"), row("b", ["hello", "world"]), row("c", [])].join("\n");
    const file = await one.files.create({
      file: await toFile(Buffer.from(body), "in.jsonl"),
      purpose: "batch",
    });
    assert.equal((await two.files.retrieve(file.id)).bytes, body.length);
    const batch = await two.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/embeddings",
      completion_window: "24h",
      metadata: { of: "two" },
    });
    const ended = await until(async () => {
      const now = await one.batches.retrieve(batch.id);
      return now.status === "completed" && now;
    });
    assert.deepEqual(ended.request_counts, { total: 3, completed: 2, failed: 1 });
    const output = await (await one.files.content(ended.output_file_id ?? "")).text();
    assert.deepEqual(
      output
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as { custom_id: string }).custom_id),
      ["a", "b"],
    );
    assert.match(
      await (await two.files.content(ended.error_file_id ?? "")).text(),
      /"custom_id":"c"/,
    );
    const listed = await one.batches.list();
    assert.ok(listed.data.some(({ id }) => id === batch.id));
    // A file of requests that are none: told as they tell it.
    const wrong = await one.files.create({
      file: await toFile(Buffer.from("{}\n"), "in.jsonl"),
      purpose: "batch",
    });
    const bad = await one.batches.create({
      input_file_id: wrong.id,
      endpoint: "/v1/embeddings",
      completion_window: "24h",
    });
    const failed = await until(async () => {
      const now = await two.batches.retrieve(bad.id);
      return now.status === "failed" && now;
    });
    assert.equal(failed.errors?.data?.[0]?.code, "missing_required_parameter");
    const { status } = await one.batches.cancel(batch.id);
    assert.equal(status, "completed");
    await two.files.delete(file.id);
  });

  test("defect: an edge said nothing of how fast a job goes; its events tell, and results by range while it runs", async () => {
    const [one, two] = [clientAt(e1), clientAt(e2)];
    const { id } = await one.jobs.submit(lines(8_000), { task: "embed", model: "words" });
    const paced: JobStatus[] = [];
    let isRead = false;
    const pid = servers[n1]?.views.status().pipelines[0]?.pid ?? assert.fail("no pipeline");
    for await (const status of two.jobs.watch(id)) {
      if (status.linesPerSecond !== null && status.expectedEndAt !== null) paced.push(status);
      if (status.state !== "in_progress" || (isRead && paced.length > 0)) continue;
      // It stands still while it is looked at: on a busy machine it would end between two looks.
      process.kill(pid, "SIGSTOP");
      try {
        const { succeeded, failed } = await two.jobs.get(id);
        if (isRead || succeeded + failed < 256) continue;
        isRead = true;
        const read = await fetch(`${at(e1)}/v1/jobs/${id}/results?from=100&to=110`, {
          headers: { authorization: `Bearer ${key}` },
        });
        const places = (await read.text()).trimEnd().split("\n");
        assert.deepEqual(
          places.map((line) => (JSON.parse(line) as { line: number }).line),
          Array.from({ length: 10 }, (_, place) => place + 100),
        );
      } finally {
        process.kill(pid, "SIGCONT");
      }
    }
    assert.ok(isRead, "it was read while it ran");
    assert.ok(paced.length > 0, "each edge hears of all commits");
    const { state, succeeded, linesPerSecond } = await one.jobs.get(id);
    assert.deepEqual([state, succeeded, linesPerSecond], ["completed", 8_000, null]);
  });

  test("the same Idempotency-Key at another edge is the same job, and is counted at the first one", async () => {
    const [before1, before2] = [await usedAt(e1), await usedAt(e2)];
    const submit = (edge: number): Promise<JobReply> =>
      fetch(`${at(edge)}/v1/jobs`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${key}`,
          "content-type": "application/json",
          "idempotency-key": "monday",
        },
        body: JSON.stringify({ task: "embed", model: "words", texts: ["hello", "world"] }),
      }).then(async (reply) => (await reply.json()) as JobReply);
    const first = await submit(e1);
    const second = await submit(e2);
    assert.equal(first.job.id, second.job.id);
    await until(async () => (await clientAt(e2).jobs.get(first.job.id)).state === "completed");
    assert.deepEqual([await usedAt(e1), await usedAt(e2)], [before1 + 10, before2]);
  });

  test("defect: a key's quota holds for jobs through an edge, whoever runs them", async () => {
    const client = clientAt(e1, other);
    await assert.rejects(client.jobs.submit(lines(301), { task: "embed", model: "words" }), {
      code: "quota_exceeded",
    });
    const { id } = await client.jobs.submit(lines(200), { task: "embed", model: "words" });
    assert.equal((await client.jobs.wait(id)).succeeded, 200);
    await client.embed(lines(100), { model: "words" });
    await assert.rejects(client.embed(["one more"], { model: "words" }), {
      code: "quota_exceeded",
    });
  });

  test("DELETE at the edge that did not make a job cancels it, then removes; its callback comes once, and its key is given back", async () => {
    const [one, two] = [clientAt(e1), clientAt(e2)];
    const { port } = hooks.address() as AddressInfo;
    const callback = `http://127.0.0.1:${port}/`;
    const usedBefore = await usedAt(e1);
    const { id } = await one.jobs.submit(lines(20_000), {
      task: "embed",
      model: "words",
      callback,
    });
    await two.jobs.cancel(id);
    const ended = await one.jobs.wait(id);
    assert.equal(ended.state, "cancelled");
    await until(() => called.includes(id));
    const characters = lines(20_000).join("").length;
    await until(async () => (await usedAt(e1)) < usedBefore + characters);
    await two.jobs.remove(id);
    await assert.rejects(one.jobs.get(id), { code: "job_not_found" });
    const whole = await two.jobs.submit(["hello"], { task: "embed", model: "words", callback });
    await one.jobs.wait(whole.id);
    await until(() => called.includes(whole.id));
    assert.deepEqual(called.filter((each) => each === id || each === whole.id).length, 2);
  });

  test("`millrace jobs` at an edge: submit, watch, results", async () => {
    const env = { ...process.env, MILLRACE_URL: at(e1), MILLRACE_KEY: key };
    const run = async (...args: readonly string[]): Promise<string> => {
      const child = spawn(process.execPath, [main, "jobs", ...args], { env });
      const [out, err, [code]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, "close"),
      ]);
      assert.equal(code, 0, err);
      return out;
    };
    await writeFile(temp.file("in.txt"), lines(500).join("\n"));
    const given = ["--task", "embed", "--model", "words", "--datafile", temp.file("in.txt")];
    const id = (await run("submit", ...given)).trim();
    await run("watch", id);
    assert.equal((await run("results", id)).trimEnd().split("\n").length, 500);
  });

  test("two deployments with prefixes of their own on one NATS hear and see nothing of each other", async () => {
    const natsPrefix = "millrace-2";
    const open = { natsPrefix, models: temp.file("others"), insecure: true };
    await writeMadeEncoder(temp.file("others/labels"), { labels: ["x", "y"] });
    const place = servers.length;
    await serve({ ...open, role: "edge", node: "e1" });
    await serve({ ...open, role: "node", node: "n9", pipelines: 1, threads: 1 });
    const [theirs, ours] = [clientAt(place), clientAt(e1)];
    await until(async () => (await theirs.ready()).ready);
    const namesOf = async (client: Millrace): Promise<readonly string[]> =>
      (await client.nodes()).nodes.map(({ node }) => node).sort();
    assert.deepEqual(await namesOf(theirs), ["e1", "n9"]);
    assert.deepEqual(await namesOf(clientAt(e1, admin)), ["e1", "e2", "n1"]);
    const modelsOf = async (client: Millrace): Promise<readonly string[]> =>
      (await client.models()).models.map(({ name }) => name);
    assert.deepEqual([await modelsOf(theirs), await modelsOf(ours)], [["labels"], ["words"]]);
    // Whoever took a chunk of the other deployment would have no model for it.
    const our = await ours.jobs.submit(lines(300), { task: "embed", model: "words" });
    const their = await theirs.jobs.submit(lines(300), { task: "classify", model: "labels" });
    assert.equal((await ours.jobs.wait(our.id)).succeeded, 300);
    assert.equal((await theirs.jobs.wait(their.id)).succeeded, 300);
    assert.deepEqual(
      (await theirs.jobs.list()).jobs.map(({ id }) => id),
      [their.id],
    );
    await assert.rejects(theirs.jobs.get(our.id), { code: "job_not_found" });
    await assert.rejects(ours.jobs.remove(their.id), { code: "job_not_found" });
    const [kept] = (await openAiAt(e1).files.list()).data;
    assert.ok(kept !== undefined);
    assert.deepEqual((await openAiAt(place).files.list()).data, []);
    await assert.rejects(openAiAt(place).files.retrieve(kept.id), { status: 404 });
  });

  test("jobs that have not ended are bounded, for all edges together, also for OpenAI's batches", async () => {
    // What nobody runs stays open.
    await servers[n1]?.close();
    const create = async (edge: number, apiKey: string): Promise<string> => {
      const client = openAiAt(edge, apiKey);
      const row = { custom_id: "a", method: "POST", url: "/v1/embeddings", body: { input: "a" } };
      const body = Buffer.from(JSON.stringify(row));
      const file = await toFile(body, "in.jsonl");
      const { id } = await client.files.create({ file, purpose: "batch" });
      const window = { endpoint: "/v1/embeddings", completion_window: "24h" } as const;
      return (await client.batches.create({ input_file_id: id, ...window })).id;
    };
    const ids = [await create(e1, key), await create(e2, key), await create(e1, key)];
    for (const edge of [e1, e2]) {
      await until(async () => {
        const refused = await create(edge, key).catch((error: unknown) => error);
        if (!(refused instanceof RateLimitError)) return false;
        assert.deepEqual([refused.type, refused.code], ["rate_limit_error", "queue_full"]);
        assert.match(
          refused.message,
          /3 jobs of this tenant have not ended.*--jobs-tenant-open-max/,
        );
        assert.equal(refused.headers.get("retry-after"), "10");
        return true;
      });
    }
    await create(e2, third);
    const { status } = await openAiAt(e2).batches.cancel(ids[0] ?? "");
    assert.match(status, /cancel/);
    await until(
      async () => (await openAiAt(e1).batches.retrieve(ids[0] ?? "")).status === "cancelled",
    );
    await create(e1, key);
  });
});
