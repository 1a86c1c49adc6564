/** What a hostile server calls its things reaches a terminal as text, whichever command shows it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import type { JobStatus, NodesResponse, StatusResponse } from "millrace-client";
import { finish } from "../support/finish.js";
import { serveHttp } from "../support/http-server.js";
import { identity } from "../support/identity.js";
import { millrace } from "../support/serve-process.js";
import { someStatus } from "../support/some-status.js";

/** A title of the window, a cleared screen, a carriage return over what stands there; in 7 bits and in 8. */
const hostile = "\u001b]0;own\u0007\u001b[2J\r\u009b31m\u007f";
const named = ["name", "node", "version", "model", "pipelineId", "tenant", "reason", "stage", "id"];

function spoilt(value: object): string {
  return JSON.stringify(value, (key, each: unknown) => {
    if (key === "models" && Array.isArray(each)) return each;
    return typeof each === "string" && named.includes(key) ? `${each}${hostile}` : each;
  });
}

const job: JobStatus = {
  id: "job-1",
  state: "failed",
  task: "translate",
  model: "m",
  tenant: "t",
  lines: 1,
  succeeded: 0,
  failed: 1,
  linesPerSecond: null,
  expectedEndAt: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  startedAt: null,
  endedAt: null,
  deadlineAt: null,
  expiresAt: null,
  metadata: {},
  errors: [{ code: "internal", message: `it broke${hostile}`, retryable: false }],
};

const status: StatusResponse = { ...someStatus(), leftOut: [{ dir: "d", reason: "r" }] };
const nodes: NodesResponse = { nats: "away", nodes: [], deployment: identity };

const asked = [
  { args: ["status"], reply: status },
  { args: ["status", "--json"], reply: status },
  { args: ["nodes"], reply: nodes },
  { args: ["jobs", "status", "job-1"], reply: { job, deployment: identity } },
  { args: ["jobs", "list"], reply: { jobs: [job], next: null, deployment: identity } },
];

for (const { args, reply } of asked) {
  test(`defect: ${args.join(" ")} printed names of a server as they came`, async () => {
    await using server = await serveHttp(({ response }) => {
      response.setHeader("content-type", "application/json");
      response.end(spoilt(reply));
    });
    const child = spawn(process.execPath, [millrace, ...args, "--url", server.url]);
    const { out, err } = await finish(child);
    assert.match(out, /own/, err);
    assert.doesNotMatch(`${out}${err}`.replaceAll("\n", ""), /\p{Cc}/u);
    if (args.includes("--json")) assert.deepEqual(JSON.parse(out), JSON.parse(spoilt(reply)));
  });
}
