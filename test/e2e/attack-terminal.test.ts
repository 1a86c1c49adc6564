/** What a server says of itself, on the terminal of whoever looks: none of it is more than text. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { NodesResponse } from "millrace-client/wire";
import { finish } from "../support/finish.js";
import { madeDeployment } from "../support/made-deployment.js";
import { millrace } from "../support/serve-process.js";

// Sets the title, clears the screen, goes a line up, and turns what follows around.
const hostile = "\u001b]0;owned\u0007\u001b[2J\u009b1A\u202eevil\n";

function hostileOf(value: unknown): unknown {
  if (typeof value === "string") return value + hostile;
  if (Array.isArray(value)) return value.map(hostileOf);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, hostileOf(each)]));
}

test("attack: names and reasons with control characters type nothing into a terminal", async () => {
  const some = { pipelines: 2, models: 2, tenants: 2, nodes: 2, jobs: 2, findings: 1 };
  const { status, nodes, jobs = [] } = madeDeployment(some)(1);
  const told: Readonly<Record<string, unknown>> = {
    "/status": status,
    "/v1/nodes": { ...nodes, deployment: status.deployment } satisfies Partial<NodesResponse>,
    "/v1/jobs": { jobs, next: null },
  };
  const server = createServer(({ url = "" }, reply) => {
    const body = told[url.split("?")[0] ?? ""];
    reply.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" });
    reply.end(JSON.stringify(hostileOf(body) ?? {}));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const commands = [["status"], ["nodes"], ["jobs", "list"]] as const;
    const all = await Promise.all(
      commands.map((words) => finish(spawn(process.execPath, [millrace, ...words, "--url", url]))),
    );
    for (const [at, { out, err }] of all.entries()) {
      assert.match(out, /owned/, commands[at]?.join(" "));
      assert.doesNotMatch(out + err, /(?!\n)[\p{Cc}\u202e]/u, commands[at]?.join(" "));
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
