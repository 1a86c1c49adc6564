/** What a command says of a connection that failed for want of TLS, or of trust. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { test } from "node:test";
import { Millrace } from "millrace-client";
import { errorRegistry, MillraceError } from "millrace-client/wire";
import { whatToDo } from "#src/cli/what-to-do.js";
import { makeCertificate } from "../support/certificate.js";

async function adviceFor(scheme: string, server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = new Millrace(`${scheme}://127.0.0.1:${port}`, { retry: { attemptsMax: 1 } });
  try {
    await client.models();
  } catch (error) {
    assert.ok(error instanceof MillraceError && error.code === "connection_failed", String(error));
    return whatToDo(error);
  } finally {
    client.close();
    server.close();
  }
  throw new Error("it answered");
}

test("defect: a certificate that is not trusted, and the wrong one of http and https, are told apart from a server that is not there", async () => {
  const { cert, key } = makeCertificate();
  const secure = (): Server => createTlsServer({ cert, key }, (_, reply) => reply.end());
  const plain = (): Server => createServer((_, reply) => reply.end());
  assert.match(await adviceFor("https", secure()), /NODE_EXTRA_CA_CERTS/);
  assert.match(await adviceFor("http", secure()), /begins with https:/);
  assert.match(await adviceFor("https", plain()), /begins with http:/);
  const other = new MillraceError("queue_full", "…");
  assert.equal(whatToDo(other), errorRegistry.queue_full.whatToDo);
});

test("defect: of a key that is wrong a command spoke of headers", () => {
  for (const code of ["unauthenticated", "forbidden"] as const) {
    const advice = whatToDo(new MillraceError(code, "…"), "status");
    assert.match(advice, /MILLRACE_KEY.*--key/);
    assert.doesNotMatch(advice, /Authorization|Bearer/);
  }
});
