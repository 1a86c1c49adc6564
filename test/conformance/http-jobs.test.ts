/** `/v1/jobs` over real HTTP, before jobs in memory that run when a test says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Ajv2020 } from "ajv/dist/2020.js";
import type {
  JobDeletedReply,
  JobReply,
  JobResult,
  JobStatus,
  JobsReply,
} from "millrace-client/wire";
import { jobDocs } from "#src/front/native/job-docs.js";
import { isJsonObject, type JsonObject, type JsonValue } from "#src/work/payload.js";
import { accessFor, TestFront } from "../support/http-front.js";
import { MemoryJobs } from "../support/memory-jobs.js";

const ndjson = "application/x-ndjson";

class JobFront implements AsyncDisposable {
  readonly jobs = new MemoryJobs();
  readonly #front: TestFront;

  static async start(...[options, times]: Parameters<typeof TestFront.start>): Promise<JobFront> {
    const jobs = new MemoryJobs();
    return new JobFront(await TestFront.start(options, { jobs, ...times }), jobs);
  }

  private constructor(front: TestFront, jobs: MemoryJobs) {
    this.#front = front;
    this.jobs = jobs;
  }

  get front(): TestFront {
    return this.#front;
  }

  async call(path: string, init: RequestInit = {}): Promise<Response> {
    return await fetch(`${this.#front.url}${path}`, init);
  }

  async post(
    body: string | Uint8Array<ArrayBuffer> | object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const sent =
      typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    const type = { "content-type": "application/json" };
    return await this.call("/v1/jobs", {
      method: "POST",
      body: sent,
      headers: { ...type, ...headers },
    });
  }

  async made(texts: readonly string[]): Promise<JobStatus> {
    const reply = await this.post({ task: "translate", texts });
    assert.equal(reply.status, 202);
    return ((await reply.json()) as JobReply).job;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#front[Symbol.asyncDispose]();
  }
}

async function refusal(reply: Response): Promise<readonly unknown[]> {
  const { error } = (await reply.json()) as {
    readonly error: { readonly code: string; readonly param?: string };
  };
  return [reply.status, error.code, error.param ?? null];
}

async function linesOf(reply: Response): Promise<readonly JobResult[]> {
  const text = await reply.text();
  assert.ok(text === "" || text.endsWith("\n"));
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JobResult);
}

test("a job of texts: taken, run, told, listed, removed", async () => {
  await using front = await JobFront.start();
  const reply = await front.post({
    task: "translate",
    model: "en-de",
    texts: ["ab", "!", "c\nd"],
    beams: 2,
    tenant: "shop",
    timeoutMs: 60_000,
    metadata: { batch: "7" },
  });
  assert.deepEqual([reply.status, reply.headers.get("location")], [202, "/v1/jobs/job-1"]);
  const { job, deployment } = (await reply.json()) as JobReply;
  assert.equal(deployment.name, "echo");
  assert.deepEqual(
    [job.state, job.task, job.model, job.tenant, job.lines, job.metadata, job.deadlineAt],
    ["queued", "translate", "en-de", "shop", 3, { batch: "7" }, "1970-01-01T00:01:01.000Z"],
  );
  assert.deepEqual(front.jobs.inputsOf("job-1"), ["ab", "!", "c\nd"]);
  assert.deepEqual(front.jobs.requestOf("job-1").form, {
    kind: "native",
    task: "translate",
    model: "en-de",
    fields: { beams: 2 },
  });

  front.jobs.step("job-1", 2);
  const running = ((await (await front.call("/v1/jobs/job-1")).json()) as JobReply).job;
  assert.deepEqual(
    [running.state, running.succeeded, running.failed, running.linesPerSecond],
    ["in_progress", 1, 1, 12.3],
  );
  assert.ok(Date.parse(running.expectedEndAt ?? "") > Date.now());
  front.jobs.step("job-1", 1);
  const results = await linesOf(await front.call("/v1/jobs/job-1/results"));
  assert.deepEqual(
    results.map(({ line, error, ...rest }) => [line, error?.code ?? rest["text"]]),
    [
      [0, "ba"],
      [1, "item_failed"],
      [2, "d\nc"],
    ],
  );
  const removed = await front.call("/v1/jobs/job-1", { method: "DELETE" });
  assert.equal(((await removed.json()) as JobDeletedReply).outcome, "removed");
  assert.deepEqual(await refusal(await front.call("/v1/jobs/job-1")), [404, "job_not_found", null]);
});

test("lines: a head, then a text or a request in each; gzip too", async () => {
  await using front = await JobFront.start();
  const lines = ['{"task":"translate","beams":3}', '"a"', '{"texts":["b"],"beams":1}', '"c"'];
  for (const end of ["", "\n"]) {
    const reply = await front.post(lines.join("\n") + end, { "content-type": ndjson });
    assert.equal(reply.status, 202);
    const { job } = (await reply.json()) as JobReply;
    assert.deepEqual(front.jobs.inputsOf(job.id), ["a", { texts: ["b"], beams: 1 }, "c"]);
  }
  const zipped = await front.post(gzipSync(lines.join("\n")), {
    "content-type": ndjson,
    "content-encoding": "gzip",
  });
  assert.equal(zipped.status, 202);
});

test("a body in lines may be larger than any other, and its size has a bound of its own", async () => {
  await using front = await JobFront.start({ bodyBytesMax: 1_024, jobFileBytesMax: 300_000 });
  const send = async (bytes: number): Promise<Response> => {
    const body = `{"task":"translate"}\n${`${JSON.stringify("x".repeat(97))}\n`.repeat(bytes / 100)}`;
    return await front.post(body, { "content-type": ndjson });
  };
  assert.equal((await send(250_000)).status, 202);
  assert.equal(front.jobs.inputsOf("job-1").length, 2_500);
  assert.deepEqual(await refusal(await send(400_000)), [413, "body_too_large", null]);
});

test("what is wrong with a job is said at the door, and where", async () => {
  await using front = await JobFront.start();
  const texts = ["a"];
  const bodies: readonly (readonly [
    body: object,
    status: number,
    code: string,
    param: string | null,
  ])[] = [
    [{ texts }, 400, "bad_request", "task"],
    [{ task: "translat", texts }, 400, "bad_request", "task"],
    [{ task: "translate", texts, beam: 4 }, 400, "bad_request", "beam"],
    [{ task: "translate", texts, class: "bulk" }, 400, "bad_request", "class"],
    [{ task: "translate", texts: [] }, 422, "input_empty", "texts"],
    [{ task: "translate" }, 400, "bad_request", "texts"],
    [{ task: "translate", texts: ["a", 7] }, 400, "bad_request", "texts[1]"],
    [{ task: "translate", texts: ["\ud800"] }, 400, "bad_encoding", "texts[0]"],
    [{ task: "translate", texts, timeoutMs: 0 }, 400, "bad_request", "timeoutMs"],
    [{ task: "translate", texts, metadata: [] }, 400, "bad_request", "metadata"],
    [{ task: "translate", texts, metadata: { a: 1 } }, 400, "bad_request", "metadata.a"],
    [
      {
        task: "translate",
        texts,
        metadata: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [at, ""])),
      },
      400,
      "bad_request",
      "metadata",
    ],
    [{ task: "look", texts }, 400, "bad_request", "texts"],
  ];
  for (const [body, ...expected] of bodies) {
    assert.deepEqual(await refusal(await front.post(body)), expected, JSON.stringify(body));
  }
  const inLines: readonly (readonly [
    body: string,
    status: number,
    code: string,
    param: string | null,
  ])[] = [
    ["", 400, "bad_request", null],
    ['{"task":"translate"}', 422, "input_empty", "texts"],
    ['{"task":"translate"}\n\n \r\n', 422, "input_empty", "texts"],
    ['{"task":"translate","texts":["a"]}\n"a"', 400, "bad_request", "texts"],
    [`{"task":"${"x".repeat(70_000)}"}\n"a"`, 400, "bad_request", null],
    ['"a"\n"b"', 400, "bad_request", null],
  ];
  for (const [body, ...expected] of inLines) {
    assert.deepEqual(
      await refusal(await front.post(body, { "content-type": ndjson })),
      expected,
      body.slice(0, 80),
    );
  }
  const typed = await front.post("x", { "content-type": "text/plain" });
  assert.deepEqual(await refusal(typed), [415, "unsupported_media_type", "content-type"]);
  const keyed = await front.post({ task: "translate", texts }, { "idempotency-key": "a b" });
  assert.deepEqual(await refusal(keyed), [400, "bad_request", "idempotency-key"]);
  const { jobs } = (await (await front.call("/v1/jobs")).json()) as JobsReply;
  assert.deepEqual(jobs, []);
});

test("the same key gives the job that it made; with other lines it is refused", async () => {
  await using front = await JobFront.start();
  const key = { "idempotency-key": "k-1" };
  const first = await front.post({ task: "translate", texts: ["a"] }, key);
  const again = await front.post({ task: "translate", texts: ["a"] }, key);
  assert.deepEqual([first.status, again.status], [202, 200]);
  assert.equal(again.headers.get("location"), first.headers.get("location"));
  const other = await front.post({ task: "translate", texts: ["b"] }, key);
  assert.deepEqual(await refusal(other), [422, "request_key_reused", null]);
});

test("what the store refuses in the middle of the lines is told", async () => {
  await using front = await JobFront.start();
  front.jobs.refuseWith = { code: "job_store_full", afterBytes: 100_000 };
  const body = `{"task":"translate"}\n${'"some text"\n'.repeat(20_000)}`;
  assert.deepEqual(await refusal(await front.post(body, { "content-type": ndjson })), [
    507,
    "job_store_full",
    null,
  ]);
});

test("replies are as their description says, to the field", async () => {
  await using front = await JobFront.start();
  const docs = jobDocs({ tasks: [{ name: "translate", fields: ["texts"] }] });
  const ajv = new Ajv2020({ allowUnionTypes: true, strictRequired: false });
  const check = (route: keyof typeof docs, type: string, value: unknown): void => {
    const schema = docs[route].reply[type];
    assert.ok(schema !== undefined);
    const validate = ajv.compile(closed(schema) as JsonObject);
    assert.ok(validate(value), `${route}: ${JSON.stringify(validate.errors)}`);
  };
  const json = "application/json";
  const body = { task: "translate", texts: ["a", "!"], metadata: { of: "me" }, timeoutMs: 9_000 };
  const request = docs.create.request?.[json];
  assert.ok(request !== undefined && ajv.validate(request, body), ajv.errorsText());
  check("create", json, await (await front.post(body)).json());
  front.jobs.step("job-1", 1);
  check("get", json, await (await front.call("/v1/jobs/job-1")).json());
  front.jobs.step("job-1", 1);
  check("list", json, await (await front.call("/v1/jobs")).json());
  const results = await linesOf(await front.call("/v1/jobs/job-1/results"));
  assert.equal(results.length, 2);
  for (const line of results) check("results", ndjson, line);
  const cancel = await front.call("/v1/jobs/job-1/cancel", { method: "POST" });
  check("cancel", json, await cancel.json());
  check("remove", json, await (await front.call("/v1/jobs/job-1", { method: "DELETE" })).json());
});

/** What a schema does not name is wrong. */
function closed(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(closed);
  if (!isJsonObject(value)) return value;
  const inner = Object.fromEntries(Object.entries(value).map(([key, each]) => [key, closed(each)]));
  const isOpen = "additionalProperties" in value || value["type"] !== "object";
  return isOpen ? inner : { ...inner, additionalProperties: false };
}

test("no more jobs are taken in at once than there is room for", async () => {
  await using front = await JobFront.start();
  let finish: () => void = () => {};
  front.jobs.stored = new Promise((resolve) => {
    finish = resolve;
  });
  const body = { task: "translate", texts: ["a"] };
  const replies = Array.from({ length: 80 }, async () => {
    const reply = await front.post(body);
    if (reply.status !== 202) finish();
    return reply;
  });
  const statuses = (await Promise.all(replies)).map(({ status }) => status);
  assert.ok(statuses.filter((status) => status === 202).length >= 64);
  assert.ok(statuses.includes(429));
  assert.equal((await front.post(body)).status, 202);
});

test("attack: one key that sends as many jobs as are taken in at once, and ends none, keeps nobody else out", async () => {
  let finish: () => void = () => {};
  const stored = new Promise<void>((resolve) => {
    finish = resolve;
  });
  class HeldJobs extends MemoryJobs {
    override stored = stored;

    override create(...asked: Parameters<MemoryJobs["create"]>): ReturnType<MemoryJobs["create"]> {
      if (asked[0].key === "two") finish();
      return super.create(...asked);
    }
  }
  const access = accessFor("one", "two");
  await using front = await TestFront.start({}, { jobs: new HeldJobs(), access });
  const body = JSON.stringify({ task: "translate", texts: ["a"] });
  const post = async (key: string): Promise<number> => {
    const headers = { "x-api-key": key, "content-type": "application/json" };
    return (await fetch(`${front.url}/v1/jobs`, { method: "POST", body, headers })).status;
  };
  let refused = 0;
  const others: Promise<number>[] = [];
  const replies = Array.from({ length: 80 }, async () => {
    if ((await post("one")) === 202) return;
    refused += 1;
    // When as many of the first one's wait as may.
    if (refused === 16) others.push(post("two").finally(finish));
  });
  await Promise.all(replies);
  assert.deepEqual(await Promise.all(others), [202]);
});

test("defect: a wrong value of a field of all lines was taken, and then each line failed", async () => {
  await using front = await JobFront.start();
  for (const fields of [{ beams: "x" }, { beams: 2, nBest: 3 }, { split: "no" }]) {
    const route = await refusal(await front.front.translate({ texts: ["a"], ...fields }));
    assert.deepEqual(route.slice(0, 2), [400, "bad_request"]);
    const head = { task: "translate", ...fields };
    assert.deepEqual(await refusal(await front.post({ ...head, texts: ["a"] })), route);
    const lines = `${JSON.stringify(head)}\n"a"\n`;
    assert.deepEqual(await refusal(await front.post(lines, { "content-type": ndjson })), route);
  }
  // What only ids have is for the lines to say.
  const ids = `${JSON.stringify({ task: "translate", padded: true })}\n{"tokenIds":[[5,2]]}\n`;
  assert.equal((await front.post(ids, { "content-type": ndjson })).status, 202);
});

test("without a store every route says what to do", async () => {
  await using front = await TestFront.start();
  for (const [method, path] of [
    ["GET", ""],
    ["GET", "/a"],
    ["DELETE", "/a"],
    ["POST", "/a/cancel"],
    ["GET", "/a/results"],
    ["GET", "/a/events"],
  ] as const) {
    const reply = await fetch(`${front.url}/v1/jobs${path}`, { method });
    assert.deepEqual(await refusal(reply), [501, "jobs_off", null], path);
  }
});

test("the list: newest first, in pages", async () => {
  await using front = await JobFront.start();
  for (const text of ["a", "b", "c", "d", "e"]) await front.made([text]);
  const pages: (readonly string[])[] = [];
  for (let after: string | null = ""; after !== null; ) {
    const query: string = after === "" ? "" : `&after=${after}`;
    const page = (await (await front.call(`/v1/jobs?limit=2${query}`)).json()) as JobsReply;
    pages.push(page.jobs.map(({ id }) => id));
    after = page.next;
  }
  assert.deepEqual(pages, [["job-5", "job-4"], ["job-3", "job-2"], ["job-1"]]);
  assert.deepEqual(await refusal(await front.call("/v1/jobs?limit=0")), [
    400,
    "bad_request",
    "limit",
  ]);
  assert.deepEqual(await refusal(await front.call("/v1/jobs?limt=1")), [
    400,
    "bad_request",
    "limt",
  ]);
  assert.deepEqual(await refusal(await front.call("/v1/jobs?after=x")), [
    400,
    "bad_request",
    "after",
  ]);
});

test("results by line: a range, what is there, and with wait=true all to the end", async () => {
  await using front = await JobFront.start();
  const { id } = await front.made(["a", "b", "c", "d", "e"]);
  front.jobs.step(id, 3);
  const at = async (query: string): Promise<readonly number[]> =>
    (await linesOf(await front.call(`/v1/jobs/${id}/results${query}`))).map(({ line }) => line);
  assert.deepEqual(await at(""), [0, 1, 2]);
  assert.deepEqual(await at("?from=1&to=2"), [1]);
  assert.deepEqual(await at("?from=3"), []);
  assert.deepEqual(
    await at("?from=0&to=3&wait=true"),
    [0, 1, 2],
    "it waits for what was asked only",
  );
  for (const [query, param] of [
    ["?from=-1", "from"],
    ["?from=2&to=1", "to"],
    ["?wait=yes", "wait"],
    ["?form=1", "form"],
  ] as const) {
    const reply = await front.call(`/v1/jobs/${id}/results${query}`);
    assert.deepEqual(await refusal(reply), [400, "bad_request", param]);
  }
  const whole = at("?from=2&wait=true");
  front.jobs.step(id, 1);
  front.jobs.step(id, 1);
  assert.deepEqual(await whole, [2, 3, 4]);
  assert.equal(front.jobs.watchers, 0);
});

test("results that are waited for end when the job is cancelled", async () => {
  await using front = await JobFront.start();
  const { id } = await front.made(["a", "b"]);
  front.jobs.step(id, 1);
  const reply = await front.call(`/v1/jobs/${id}/results?wait=true`);
  const deleted = await front.call(`/v1/jobs/${id}`, { method: "DELETE" });
  const { job, outcome } = (await deleted.json()) as JobDeletedReply;
  assert.deepEqual([job.state, outcome], ["cancelled", "cancelled"]);
  assert.deepEqual(
    (await linesOf(reply)).map(({ line }) => line),
    [0],
  );
  const again = await front.call(`/v1/jobs/${id}/cancel`, { method: "POST" });
  assert.equal(((await again.json()) as JobReply).job.state, "cancelled", "again: nothing");
});

test("events: each change, the end, and no more after it", async () => {
  await using front = await JobFront.start();
  const { id } = await front.made(["a", "b", "c"]);
  const reply = await front.call(`/v1/jobs/${id}/events`, { headers: { "last-event-id": "77" } });
  assert.equal(reply.headers.get("content-type"), "text/event-stream");
  assert.ok(reply.body !== null);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const until = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(text)) {
      const { done, value } = await reader.read();
      assert.ok(!done, text);
      text += value;
    }
  };
  await until(/"state":"queued".*\n\n/);
  front.jobs.step(id, 1);
  await until(/"succeeded":1.*\n\n/);
  front.jobs.step(id, 2);
  await until(/event: end\ndata: .*"state":"completed".*\n\n/);
  assert.equal((await reader.read()).done, true);
  assert.equal(front.jobs.watchers, 0);
  const late = await (await front.call(`/v1/jobs/${id}/events`)).text();
  assert.match(late, /^retry: \d+\n\nevent: end\ndata: .*\n\n$/);
});

test("what happens between the question and the watch is told", async () => {
  await using front = await JobFront.start();
  const { id } = await front.made(["a"]);
  front.jobs.beforeWatch = () => {
    front.jobs.step(id, 1);
    front.jobs.beforeWatch = () => {};
  };
  assert.match(await (await front.call(`/v1/jobs/${id}/events`)).text(), /event: end\n/);
});

test("a reader of events that leaves is watched for no more", async () => {
  await using front = await JobFront.start();
  const { id } = await front.made(["a"]);
  const leaving = new AbortController();
  const reply = await front.call(`/v1/jobs/${id}/events`, { signal: leaving.signal });
  const reader = reply.body?.getReader();
  await reader?.read();
  assert.equal(front.jobs.watchers, 1);
  leaving.abort();
  await assert.rejects(async () => {
    for (;;) await reader?.read();
  });
  while (front.jobs.watchers > 0) await new Promise((resolve) => setImmediate(resolve));
});

test("who waits is sent away when the server stops", async () => {
  await using front = await JobFront.start();
  const { id } = await front.made(["a"]);
  const [events, results] = await Promise.all([
    front.call(`/v1/jobs/${id}/events`),
    front.call(`/v1/jobs/${id}/results?wait=true`),
  ]);
  front.front.state = "draining";
  assert.doesNotMatch(await events.text(), /event: end/);
  assert.match(await results.text(), /"code":"draining"/);
});

test("a key sees what it made, and bulk work is for keys that may", async () => {
  const jobs = new MemoryJobs();
  await using front = await TestFront.start({}, { jobs, access: accessFor("one", "two") });
  const as = async (key: string, path: string, init: RequestInit = {}): Promise<Response> =>
    await fetch(`${front.url}${path}`, {
      ...init,
      headers: { "x-api-key": key, "content-type": "application/json" },
    });
  const body = JSON.stringify({ task: "translate", texts: ["a"] });
  assert.equal((await as("one", "/v1/jobs", { method: "POST", body })).status, 202);
  assert.equal((await as("one", "/v1/jobs/job-1")).status, 200);
  assert.deepEqual(await refusal(await as("two", "/v1/jobs/job-1")), [404, "job_not_found", null]);
  assert.deepEqual(((await (await as("two", "/v1/jobs")).json()) as JobsReply).jobs, []);
  assert.equal((await as("three", "/v1/jobs")).status, 401);
});
