/** Routes, methods, identity, refusals and metrics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ErrorResponse,
  MillraceError,
  type ModelsResponse,
  type ReadyResponse,
  type StatusResponse,
  type TranslateResponse,
} from "millrace-client/wire";
import { Metrics } from "#src/metrics/metrics.js";
import { TestFront } from "../support/http-front.js";
import { identity } from "../support/identity.js";

const expectedHeader = "name=echo, environment=test, version=0.0.1, config=00c0ffee, node=here";

test("every reply names the deployment and the request", async () => {
  await using front = await TestFront.start();
  const requests = [
    "/live",
    "/ready",
    "/status",
    "/metrics",
    "/v1/models",
    "/nowhere",
    "/v1/translate",
  ];
  for (const path of requests) {
    const response = await fetch(`${front.url}${path}`, { headers: { "x-request-id": "me-1" } });
    await response.text();
    assert.equal(response.headers.get("x-millrace-deployment"), expectedHeader, path);
    assert.equal(response.headers.get("x-request-id"), "me-1", path);
  }
});

test("a request id that does not belong into a log is replaced", async () => {
  await using front = await TestFront.start();
  for (const id of ["with space", "x".repeat(129), ""]) {
    const response = await fetch(`${front.url}/live`, { headers: { "x-request-id": id } });
    await response.text();
    assert.match(response.headers.get("x-request-id") ?? "", /^[0-9a-f]{8}-/);
  }
});

test("a translation says where its time went", async () => {
  await using front = await TestFront.start();
  const response = await front.translate({ texts: ["ab", "cd"], class: "bulk" });
  assert.equal(
    response.headers.get("server-timing"),
    "prepare;dur=1.00, queue;dur=2.00, compute;dur=3.00, total;dur=6.00",
  );
  const body = (await response.json()) as TranslateResponse;
  assert.equal(body.class, "bulk");
  assert.deepEqual(body.pipelines, { "echo-0": 2 });
  assert.deepEqual(body.deployment, identity);
  assert.deepEqual(
    body.results.map((item) => ("text" in item ? item.text : null)),
    ["ba", "dc"],
  );
});

test("a caller that expects this deployment is served, any other is refused before anything else", async () => {
  await using front = await TestFront.start();
  const ask = async (path: string, expected: string): Promise<[number, string]> => {
    const headers = { "x-millrace-expect": expected };
    const response = await fetch(`${front.url}${path}`, { headers });
    return [response.status, await response.text()];
  };
  assert.equal((await ask("/live", "environment=test, version=0.0.1"))[0], 200);
  assert.equal((await ask("/live", "config=00c0ffee,node=here,name=echo"))[0], 200);
  for (const path of ["/live", "/status", "/nowhere", "/v1/translate"]) {
    const [status, text] = await ask(path, "environment=prod");
    assert.equal(status, 412, path);
    const { error } = JSON.parse(text) as ErrorResponse;
    assert.equal(error.code, "deployment_mismatch");
    assert.match(error.message, /"prod".*"test"/);
  }
  for (const unclear of [
    "environment",
    "enviroment=test",
    "environment=",
    "environment=test=1",
    ",",
  ]) {
    const [status, text] = await ask("/live", unclear);
    assert.equal(status, 400, unclear);
    assert.equal((JSON.parse(text) as ErrorResponse).error.param, "x-millrace-expect");
  }
});

test("HEAD answers as GET does, without the body", async () => {
  await using front = await TestFront.start();
  for (const path of ["/live", "/ready", "/status", "/metrics", "/v1/models"]) {
    const response = await fetch(`${front.url}${path}?x=1`, { method: "HEAD" });
    assert.equal(response.status, 200, path);
    assert.ok(Number(response.headers.get("content-length")) > 0, path);
    assert.equal(await response.text(), "");
  }
});

test("a wrong method is told the right ones", async () => {
  await using front = await TestFront.start();
  for (const [method, path, allow] of [
    ["GET", "/v1/translate", "POST"],
    ["HEAD", "/v1/translate", "POST"],
    ["DELETE", "/status", "GET, HEAD"],
    ["OPTIONS", "/live", "GET, HEAD"],
    ["POST", "/metrics", "GET, HEAD"],
  ] as const) {
    const response = await fetch(`${front.url}${path}`, { method });
    await response.text();
    assert.equal(response.status, 405, `${method} ${path}`);
    assert.equal(response.headers.get("allow"), allow);
  }
});

test("paths are exact", async () => {
  await using front = await TestFront.start();
  for (const path of ["/", "/status/", "/STATUS", "//status", "/v1/translate/x", "/%2e%2e/etc"]) {
    const response = await fetch(`${front.url}${path}`);
    assert.equal(response.status, 404, path);
    assert.equal(((await response.json()) as ErrorResponse).error.code, "not_found");
  }
});

test("/ready is 503 with the reason until the server is ready", async () => {
  await using front = await TestFront.start();
  front.state = "starting";
  const response = await fetch(`${front.url}/ready`);
  const body = (await response.json()) as ReadyResponse;
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "1");
  assert.deepEqual(body.notReady[0]?.reason, "not yet");
  front.state = "ready";
  assert.match(await (await fetch(`${front.url}/ready`)).text(), /"ready":true/);
});

test("/status and /v1/models are answered from memory while a request is at work", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const busy = front.translate({ texts: "ab" });
  await front.submit.arrived(1);
  const status = (await (await fetch(`${front.url}/status`)).json()) as StatusResponse;
  assert.equal(status.pipelines[0]?.pipelineId, "echo-0");
  assert.ok(status.process.connections >= 1);
  const models = (await (await fetch(`${front.url}/v1/models`)).json()) as ModelsResponse;
  assert.equal(models.models[0]?.name, "echo");
  front.submit.release();
  assert.match(await (await busy).text(), /"ba"/);
});

test("what admission refuses carries Retry-After", async () => {
  await using front = await TestFront.start();
  for (const [code, status, seconds] of [
    ["queue_full", 429, "3"],
    ["deadline_too_soon", 429, "3"],
    ["not_ready", 503, "3"],
    ["model_not_found", 404, null],
  ] as const) {
    front.submit.refuseWith = new MillraceError(code, "No.", { retryAfterMs: 2100 });
    const response = await front.translate({ texts: "ab" });
    await response.text();
    assert.equal(response.status, status);
    assert.equal(response.headers.get("retry-after"), seconds);
  }
});

test("a draining server takes no work, answers polls, and closes its connections", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const atWork = front.translate({ texts: "ab" });
  await front.submit.arrived(1);
  front.state = "draining";
  const drained = front.front.drained();
  const refused = await front.translate({ texts: "cd" });
  assert.equal(refused.status, 503);
  assert.equal(((await refused.json()) as ErrorResponse).error.code, "draining");
  const ready = await fetch(`${front.url}/ready`);
  await ready.text();
  assert.equal(ready.status, 503);
  assert.equal(ready.headers.get("connection"), "close");
  front.submit.release();
  assert.match(await (await atWork).text(), /"ba"/, "work that was taken is finished");
  await drained;
  await front.front.close();
  await assert.rejects(fetch(`${front.url}/live`));
});

test("/metrics is the exposition format, and counts what happened", async () => {
  await using front = await TestFront.start();
  await (await front.translate({ texts: ["ab", "cd"] })).text();
  await (await front.translate({ texts: [] })).text();
  await (await fetch(`${front.url}/live`)).text();
  const response = await fetch(`${front.url}/metrics`);
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const samples = parseExposition(await response.text());
  assert.equal(
    samples.get('millrace_requests_total{route="/v1/translate",status="200",class="realtime"}'),
    1,
  );
  assert.equal(
    samples.get('millrace_requests_total{route="/v1/translate",status="422",class="none"}'),
    1,
  );
  assert.equal(samples.get('millrace_refused_total{code="input_empty"}'), 1);
  assert.equal(samples.get('millrace_status_polls_total{route="/live"}'), 1);
  assert.equal(samples.get('millrace_wait_seconds_sum{class="realtime"}'), 0.002);
  assert.equal(samples.get('millrace_queue_items{model="echo",class="bulk"}'), 7);
  assert.equal(samples.get('millrace_pipeline_state{pipeline="echo-0",state="ready"}'), 1);
  assert.equal(samples.get('millrace_pipeline_state{pipeline="echo-0",state="stopped"}'), 0);
  assert.equal(samples.get('millrace_pipeline_restarts_total{pipeline="echo-0"}'), 2);
  assert.equal(samples.get('millrace_stage_seconds_total{model="echo",stage="decode"}'), 2.5);
  assert.equal(samples.get("millrace_queued_bytes"), 11);
  const again = parseExposition(await (await fetch(`${front.url}/metrics`)).text());
  assert.equal(again.get('millrace_pipeline_restarts_total{pipeline="echo-0"}'), 2, "not added up");
});

/** Fails on any line that a Prometheus server would not read. */
function parseExposition(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("# HELP ") || line.startsWith("# TYPE ")) continue;
    const match = /^([a-z_]+(?:\{(?:[a-z]+="[^"]*",?)*\})?) (\S+)$/.exec(line);
    assert.ok(match?.[1] !== undefined && match[2] !== undefined, line);
    samples.set(match[1], match[2] === "+Inf" ? Infinity : Number(match[2]));
    assert.ok(!Number.isNaN(samples.get(match[1])), line);
  }
  return samples;
}

test("attack: who scrapes without end is told again what was made, a few who scrape are not", async () => {
  const metrics = new Metrics();
  let made = 0;
  await using front = await TestFront.start();
  const status = (await (await fetch(`${front.url}/status`)).json()) as StatusResponse;
  const scrape = (): Promise<string> =>
    metrics.scrape(() => {
      made += 1;
      return status;
    });
  for (let few = 0; few < 3; few += 1) await scrape();
  assert.equal(made, 3);
  const scrapes = 20_000;
  for (let many = 0; many < scrapes; many += 1) await scrape();
  assert.ok(made < scrapes / 2, `made ${made} times of ${scrapes}`);
});

test("metrics never grow with what callers write", async () => {
  await using front = await TestFront.start();
  const series = async (): Promise<string[]> =>
    (await (await fetch(`${front.url}/metrics`)).text())
      .split("\n")
      .map((line) => line.replace(/ \S+$/, ""));
  const send = async (at: number): Promise<void> => {
    await (await fetch(`${front.url}/no/such/path/${at}?q=${at}`)).text();
    await (
      await front.translate({ texts: [`text ${at}`], tenant: `t${at}`, model: `m${at}` })
    ).text();
    const headers = { "x-request-id": `r${at}`, [`x-own-${at}`]: "1" };
    await (await fetch(`${front.url}/live`, { headers })).text();
  };
  await send(0);
  // The first scrape is counted in the next one, which a busy machine may be told from memory.
  let before = await series();
  while (!before.some((line) => line.includes('route="/metrics",status'))) before = await series();
  for (let at = 1; at <= 200; at += 1) await send(at);
  assert.deepEqual(await series(), before);
});
