/** Whoever asked for it is told when a job has ended: signed, to allowed hosts only, until it was heard. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { callbackHostsOf, mayCall } from "#src/options/callback-hosts.js";
import { anyCaller } from "#src/work/caller.js";
import { made, text, whenEnded } from "../support/job-work.js";
import { MemoryJobStore } from "../support/memory-job-store.js";
import { until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const secret = "a secret of some length";

interface Heard {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

class Listener implements AsyncDisposable {
  readonly heard: Heard[] = [];
  readonly host: string;
  readonly #server: ReturnType<typeof createServer>;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Says these statuses one after the other, the last one again and again. */
  static async start(...statuses: readonly number[]): Promise<Listener> {
    const left = [...statuses];
    const server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => {
        const body = Buffer.concat(pieces).toString();
        listener.heard.push({ path: request.url ?? "", headers: request.headers, body });
        const status = (left.length > 1 ? left.shift() : left[0]) ?? 200;
        response.writeHead(status, { location: "/elsewhere" }).end();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const listener = new Listener(server);
    return listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

test("only a host of the list is called, to the letter", () => {
  const hosts = callbackHostsOf("Hooks.example, 10.0.0.7:8080,[::1]:9");
  assert.deepEqual(hosts, ["hooks.example", "10.0.0.7:8080", "[::1]:9"]);
  const may = (url: string): boolean => mayCall(url, hosts ?? []);
  assert.ok(may("https://hooks.example/a?b") && may("http://HOOKS.example:80/"));
  assert.ok(may("http://10.0.0.7:8080/x") && may("http://[::1]:9/"));
  for (const url of [
    "http://hooks.example:8080/",
    "http://10.0.0.7/",
    "http://hooks.example.evil/",
    "http://hooks.example@evil/",
    "http://user:password@hooks.example/",
    "ftp://hooks.example/",
    "file:///etc/passwd",
    "hooks.example",
    "",
  ]) {
    assert.ok(!may(url), url);
  }
  for (const bad of ["http://a", "a/b", "a,,b", "", "a b", "user@a"]) {
    assert.equal(callbackHostsOf(bad), null, bad);
  }
});

test("the end of a job is told, signed, until it was heard, also by the next server", async () => {
  await using dir = await TempDir.make();
  await using listener = await Listener.start(302, 500, 500, 200);
  await writeFile(dir.file("secret"), `${secret}\n`);
  const options = { jobCallbackHosts: listener.host, jobCallbackSecret: dir.file("secret") };
  const store = new MemoryJobStore();
  const callbackUrl = `http://${listener.host}/hook`;
  let id = "";
  {
    await using work = await made({ store, options });
    const form = { kind: "native", task: "translate", model: null, fields: {} } as const;
    const request = { form, callbackUrl };
    await assert.rejects(
      work.jobs.create(anyCaller, {
        ...request,
        input: { lines: text('"a"\n') },
        callbackUrl: "http://127.0.0.1:9/",
      }),
      { code: "bad_request", param: "callback" },
    );
    const { job } = await work.jobs.create(anyCaller, {
      ...request,
      input: { lines: text('"a"\n') },
    });
    id = job.id;
    await whenEnded(work, id);
    await until(() => listener.heard.length > 0);
  }
  assert.equal((await store.job(id))?.calledAtMs, null);
  await using work = await made({ store, options });
  await until(async () => (await work.store.job(id))?.calledAtMs !== null);
  assert.deepEqual([...new Set(listener.heard.map(({ path }) => path))], ["/hook"]);
  for (const { headers, body } of listener.heard) {
    const [, seconds = "", signature] =
      /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers["millrace-signature"])) ?? [];
    const wanted = createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
    assert.equal(signature, wanted);
    const { job } = JSON.parse(body) as { job: { id: string; state: string } };
    assert.deepEqual([job.id, job.state], [id, "completed"]);
  }
});

test("defect: where a clock had been wrong once, calls were signed with a time that nobody took", async () => {
  await using dir = await TempDir.make();
  await using listener = await Listener.start(200);
  await writeFile(dir.file("secret"), `${secret}\n`);
  const options = { jobCallbackHosts: listener.host, jobCallbackSecret: dir.file("secret") };
  const store = new MemoryJobStore();
  await store.keepTimeMs(Date.now() + 30 * 86_400_000);
  await using work = await made({ store, options });
  const form = { kind: "native", task: "translate", model: null, fields: {} } as const;
  const callbackUrl = `http://${listener.host}/hook`;
  await work.jobs.create(anyCaller, { form, callbackUrl, input: { lines: text('"a"\n') } });
  await until(() => listener.heard.length > 0);
  const [, seconds] =
    /^t=(\d+),/.exec(String(listener.heard[0]?.headers["millrace-signature"])) ?? [];
  assert.ok(Math.abs(Number(seconds) - Date.now() / 1_000) < 3_600, String(seconds));
});

test("a secret that is missing or short is an option that is wrong", async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.file("short"), "short");
  for (const name of ["none", "short"]) {
    const options = { jobCallbackHosts: "a.example", jobCallbackSecret: dir.file(name) };
    await assert.rejects(made({ options }), { code: "option_invalid" });
  }
  await assert.rejects(made({ options: { jobCallbackHosts: "a.example" } }), {
    code: "option_invalid",
  });
});

test("defect: a host that never answers held up what others were to be told", async () => {
  const silent = createServer(() => {});
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const silentHost = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await using listener = await Listener.start(200);
  await using dir = await TempDir.make();
  const path = dir.file("secret");
  await writeFile(path, secret);
  try {
    await using work = await made({
      options: { jobCallbackHosts: `${silentHost},${listener.host}`, jobCallbackSecret: path },
    });
    const told = async (host: string): Promise<void> => {
      const form = { kind: "native", task: "translate", model: null, fields: {} } as const;
      const { job } = await work.jobs.create(anyCaller, {
        form,
        input: { lines: text('"a"\n') },
        callbackUrl: `http://${host}/told`,
      });
      await whenEnded(work, job.id);
    };
    const connected = new Set<unknown>();
    silent.on("request", (request) => connected.add(request));
    for (let at = 0; at < 12; at += 1) await told(silentHost);
    await until(() => connected.size >= 4);
    await told(listener.host);
    await until(() => listener.heard.length === 1);
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});

test("defect: a listener that was slow was told by each server that may, of the same job", async () => {
  await using dir = await TempDir.make();
  let heard = 0;
  let answer = (): void => {};
  const slow = createServer((_request, response) => {
    heard += 1;
    answer = () => response.end();
  });
  slow.listen(0, "127.0.0.1");
  await once(slow, "listening");
  await writeFile(dir.file("secret"), secret);
  const host = `127.0.0.1:${(slow.address() as AddressInfo).port}`;
  const options = { jobCallbackHosts: host, jobCallbackSecret: dir.file("secret") };
  const store = new MemoryJobStore();
  try {
    await using one = await made({ store, options });
    await using _two = await made({ store, options, runs: false });
    let looks = 0;
    const change = store.changeJob.bind(store);
    store.changeJob = async (id, how, files) => {
      const job = await change(id, how, files);
      if (job?.calling !== null) looks += 1;
      return job;
    };
    const { job } = await one.jobs.create(anyCaller, {
      form: { kind: "native", task: "translate", model: null, fields: {} },
      callbackUrl: `http://${host}/hook`,
      input: { lines: text('"a"\n') },
    });
    await until(() => heard === 1);
    // Of the second server, which finds the first one at it.
    await until(() => looks >= 3);
    answer();
    await until(async () => (await store.job(job.id))?.calledAtMs !== null);
    assert.equal(heard, 1);
  } finally {
    slow.closeAllConnections();
    slow.close();
  }
});

test("defect: the end of a job that another server has ended is told by one that may", async () => {
  await using dir = await TempDir.make();
  await using listener = await Listener.start(200);
  await writeFile(dir.file("secret"), secret);
  const options = { jobCallbackHosts: listener.host, jobCallbackSecret: dir.file("secret") };
  const store = new MemoryJobStore();
  await using work = await made({ store, options, runs: false });
  const { job } = await work.jobs.create(anyCaller, {
    form: { kind: "native", task: "translate", model: null, fields: {} },
    callbackUrl: `http://${listener.host}/hook`,
    input: { lines: text('"a"\n') },
  });
  const now = Date.now();
  await store.changeJob(job.id, () => ({
    state: "completed",
    endedAtMs: now,
    expiresAtMs: now + 60_000,
  }));
  await until(async () => (await store.job(job.id))?.calledAtMs !== null);
  assert.equal(listener.heard.length, 1);
});
