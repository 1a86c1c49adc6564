import assert from "node:assert/strict";
import { test } from "node:test";
import type { FrontOptions } from "#src/front/front.js";
import { readInferBody } from "#src/front/inference-v2/infer-body.js";

const options = { requestTimeoutMsDefault: 1_000, requestTimeoutMsMax: 60_000 } as FrontOptions;

function tenantOf(parameters: object): string {
  return readInferBody(Buffer.from(JSON.stringify({ parameters, inputs: [] })), {}, options).tenant;
}

test("defect: callers of the inference protocol can be told apart, so that each has a turn", () => {
  assert.equal(tenantOf({}), "default");
  assert.equal(tenantOf({ tenant: "robot" }), "robot");
  for (const tenant of ["", 7, "x".repeat(10_000)]) {
    assert.throws(() => tenantOf({ tenant }), { code: "bad_request", param: "tenant" });
  }
});
