/** `client.jobs` against real routes before jobs in memory, over connections that break. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fetch, type JobStatus, Millrace, MillraceError } from "millrace-client";
import { TestFront } from "../support/http-front.js";
import { MemoryJobs } from "../support/memory-jobs.js";

const quick = { retry: { delayMs: 0 } } as const;

class Bench implements AsyncDisposable {
  readonly jobs = new MemoryJobs();
  readonly client: Millrace;
  readonly asked: string[] = [];
  /** Called with each request; what it gives is the reply. */
  fetch: Fetch = (url, init) => globalThis.fetch(url, init);
  #front: TestFront;

  static async start(): Promise<Bench> {
    const jobs = new MemoryJobs();
    return new Bench(jobs, await TestFront.start({}, { jobs }));
  }

  private constructor(jobs: MemoryJobs, front: TestFront) {
    this.jobs = jobs;
    this.#front = front;
    this.client = new Millrace(front.url, {
      ...quick,
      fetch: (url, init) => {
        this.asked.push(`${init.method ?? "GET"} ${new URL(url).pathname}${new URL(url).search}`);
        return this.fetch(url, init);
      },
    });
  }

  /** The server goes and comes back on its port, with the jobs that it had. */
  async restart(): Promise<void> {
    const { port } = this.#front.front;
    await this.#front[Symbol.asyncDispose]();
    this.#front = await TestFront.start({ port }, { jobs: this.jobs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.#front[Symbol.asyncDispose]();
  }
}

/** The server has the whole request, and its reply is lost. */
function losing(times: number): Fetch {
  let left = times;
  return async (url, init) => {
    const response = await fetch(url, init);
    if (left === 0) return response;
    left -= 1;
    await response.body?.cancel();
    throw new TypeError("the reply is lost");
  };
}

/** The reply breaks off behind so many bytes. */
function cutting(bytes: number, times: number): Fetch {
  let left = times;
  return async (url, init) => {
    const response = await fetch(url, init);
    if (left === 0 || response.body === null) return response;
    left -= 1;
    let sent = 0;
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk.subarray(0, bytes - sent));
        sent += chunk.length;
        if (sent >= bytes) controller.error(new TypeError("terminated"));
      },
    });
    return new Response(response.body.pipeThrough(cut), response);
  };
}

async function gathered<Value>(source: AsyncIterable<Value>): Promise<Value[]> {
  const values: Value[] = [];
  for await (const value of source) values.push(value);
  return values;
}

function* numbers(count: number, text = "text"): Generator<string> {
  for (let index = 0; index < count; index += 1) yield `${text} ${index}`;
}

const isCode = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;

test("submit, get, list, cancel, remove", async () => {
  await using bench = await Bench.start();
  const { jobs } = bench.client;
  const made = await jobs.submit(["a", { texts: ["b"] }, "c"], {
    task: "translate",
    model: "en-de",
    settings: { beams: 2 },
    metadata: { of: "me" },
  });
  assert.deepEqual([made.state, made.lines, made.metadata], ["queued", 3, { of: "me" }]);
  assert.deepEqual(bench.jobs.inputsOf(made.id), ["a", { texts: ["b"] }, "c"]);
  const { form, requestKey } = bench.jobs.requestOf(made.id);
  assert.deepEqual(form, {
    kind: "native",
    task: "translate",
    model: "en-de",
    fields: { beams: 2 },
  });
  assert.match(requestKey ?? "", /^[0-9a-f]{32}$/);
  assert.equal((await jobs.get(made.id)).id, made.id);
  await jobs.submit(numbers(2), { task: "translate" });
  const first = await jobs.list({ limit: 1 });
  const second = await jobs.list({ limit: 1, after: first.next });
  assert.deepEqual(
    [...first.jobs, ...second.jobs].map(({ id }) => id),
    ["job-2", "job-1"],
  );
  assert.equal(second.next, null);
  assert.equal((await jobs.cancel(made.id)).state, "cancelled");
  assert.equal(await jobs.remove(made.id), "removed");
  assert.equal(await jobs.remove("job-2"), "cancelled");
  await assert.rejects(jobs.get(made.id), isCode("job_not_found"));
  await assert.rejects(jobs.submit(["a"], { task: "nothing" }), isCode("bad_request"));
  await assert.rejects(jobs.submit([], { task: "translate" }), isCode("input_empty"));
});

test("a reply that is lost does not make a second job, also of a generator", async () => {
  await using bench = await Bench.start();
  bench.fetch = losing(2);
  const { id } = await bench.client.jobs.submit(numbers(10), { task: "translate" });
  assert.deepEqual(
    bench.asked,
    Array.from({ length: 3 }, () => "POST /v1/jobs"),
  );
  assert.deepEqual(
    (await bench.client.jobs.list()).jobs.map((job) => job.id),
    [id],
  );
});

test("what is large is read as it is sent, and read anew where it is sent again", async () => {
  await using bench = await Bench.start();
  const text = "x".repeat(1_000);
  let readings = 0;
  const source = {
    [Symbol.iterator]: () => {
      readings += 1;
      return numbers(9_000, text);
    },
  };
  bench.fetch = losing(1);
  const { id, lines } = await bench.client.jobs.submit(source, { task: "translate" });
  assert.deepEqual([lines, bench.jobs.inputsOf(id).length], [9_000, 9_000]);
  assert.equal(bench.jobs.inputsOf(id)[8_999], `${text} 8999`);
  assert.equal(bench.asked.length, 2);
  assert.equal((await bench.client.jobs.list()).jobs.length, 1);
  assert.equal(readings, 2 + 1, "the third only looked whether it can be read again");

  bench.fetch = losing(1);
  const once = bench.client.jobs.submit(numbers(9_000, text), { task: "translate" });
  await assert.rejects(once, isCode("connection_failed"));
  assert.equal(bench.asked.filter((asked) => asked.startsWith("POST")).length, 3);
});

test("what a source throws is thrown, early and late, and leaves no job", async () => {
  await using bench = await Bench.start();
  for (const count of [10, 9_000]) {
    const failure = new RangeError("the file is gone");
    const source = async function* (): AsyncGenerator<string> {
      yield* numbers(count, "x".repeat(1_000));
      throw failure;
    };
    await assert.rejects(bench.client.jobs.submit(source(), { task: "translate" }), failure);
  }
  await assert.rejects(
    bench.client.jobs.submit(["a", 7 as unknown as string], { task: "translate" }),
    (error) => isCode("bad_request")(error) && (error as MillraceError).param === "inputs[1]",
  );
  assert.deepEqual((await bench.client.jobs.list()).jobs, []);
});

test("each result once, in order, over replies that break off anywhere", async () => {
  await using bench = await Bench.start();
  const { id } = await bench.client.jobs.submit(numbers(40), { task: "translate" });
  bench.jobs.step(id, 40);
  const whole = await gathered(bench.client.jobs.results(id));
  for (const bytes of [1, 35, 36, 700]) {
    bench.asked.length = 0;
    bench.fetch = cutting(bytes, 3);
    const results = await gathered(bench.client.jobs.results(id, { from: 5 }));
    assert.deepEqual(results, whole.slice(5), `cut behind ${bytes}`);
    assert.ok(bench.asked.length >= (bytes < 100 ? 4 : 2), `${bench.asked.length} requests`);
  }
  bench.fetch = cutting(700, 1);
  assert.deepEqual(
    await gathered(bench.client.jobs.results(id, { from: 3, to: 30 })),
    whole.slice(3, 30),
  );
  assert.match(bench.asked.at(-1) ?? "", /results\?from=\d+&to=30&wait=true$/);
});

test("results and events are followed over a restart of the server", async () => {
  await using bench = await Bench.start();
  const { jobs } = bench.client;
  const { id } = await jobs.submit(numbers(6), { task: "translate" });
  const seen: JobStatus[] = [];
  let hasBegun: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    hasBegun = resolve;
  });
  const watching = (async () => {
    for await (const status of jobs.watch(id)) {
      seen.push(status);
      if (status.succeeded === 2) hasBegun();
    }
  })();
  const results = gathered(jobs.results(id));
  bench.jobs.step(id, 2);
  await begun;
  await bench.restart();
  bench.jobs.step(id, 2);
  await bench.restart();
  bench.jobs.step(id, 2);
  assert.deepEqual(
    (await results).map(({ line }) => line),
    [0, 1, 2, 3, 4, 5],
  );
  await watching;
  assert.equal(seen.at(-1)?.state, "completed");
  assert.equal((await jobs.wait(id)).state, "completed", "of one that has ended");
});

test("a server that stays away ends it, and so does a signal", async () => {
  await using bench = await Bench.start();
  const { jobs } = bench.client;
  const { id } = await jobs.submit(["a"], { task: "translate" });
  bench.fetch = async () => {
    throw new TypeError("no route to host");
  };
  await assert.rejects(jobs.wait(id, { awayMsMax: 0 }), isCode("connection_failed"));
  const leaving = new AbortController();
  const waiting = jobs.wait(id, { signal: leaving.signal });
  leaving.abort();
  await assert.rejects(waiting, isCode("cancelled"));
  await assert.rejects(
    gathered(jobs.results("none", { awayMsMax: Number.NaN })),
    isCode("option_invalid"),
  );
});

test("a loop that is left early ends the request", async () => {
  await using bench = await Bench.start();
  const { id } = await bench.client.jobs.submit(numbers(3), { task: "translate" });
  bench.jobs.step(id, 1);
  for await (const result of bench.client.jobs.results(id)) {
    assert.equal(result.line, 0);
    break;
  }
  while (bench.jobs.watchers > 0) await new Promise((resolve) => setImmediate(resolve));
});

test("what is no job of Millrace's is refused", async () => {
  await using bench = await Bench.start();
  const replies: readonly (readonly [type: string, body: string])[] = [
    ["application/json", '{"job":7}'],
    ["application/x-ndjson", '{"line":1,"text":"a"}\n'],
    ["application/x-ndjson", '{"lin":0}\n'],
    ["text/event-stream", "event: progress\ndata: {\n\n"],
    ["text/html", "<p>"],
  ];
  for (const [type, body] of replies) {
    bench.fetch = async () => new Response(body, { headers: { "content-type": type } });
    const { jobs } = bench.client;
    const asked =
      type === "text/event-stream"
        ? jobs.wait("a")
        : type.endsWith("ndjson")
          ? gathered(jobs.results("a"))
          : jobs.get("a");
    await assert.rejects(asked, isCode("response_invalid"), body);
  }
});

test("defect: a removal whose reply was lost was asked again, and removed what it had only cancelled", async () => {
  await using bench = await Bench.start();
  const { jobs } = bench.client;
  const { id } = await jobs.submit(["one"], { task: "translate" });
  bench.fetch = losing(1);
  await assert.rejects(jobs.remove(id), { code: "connection_failed" });
  assert.equal((await jobs.get(id)).state, "cancelled");
});
