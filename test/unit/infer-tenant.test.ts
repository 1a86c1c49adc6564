import assert from "node:assert/strict";
import { test } from "node:test";
import { readInferBody } from "#src/front/inference-v2/infer-body.js";
import type { Options } from "#src/options/options.js";

const options = { requestTimeoutMsDefault: 1_000, requestTimeoutMsMax: 60_000 } as Options;

async function tenantOf(parameters: object): Promise<string> {
  const body = Buffer.from(JSON.stringify({ parameters, inputs: [] }));
  return (await readInferBody(body, {}, options)).tenant;
}

test("defect: callers of the inference protocol can be told apart, so that each has a turn", async () => {
  assert.equal(await tenantOf({}), "default");
  assert.equal(await tenantOf({ tenant: "robot" }), "robot");
  for (const tenant of ["", 7, "x".repeat(10_000)]) {
    await assert.rejects(tenantOf({ tenant }), { code: "bad_request", param: "tenant" });
  }
});
