/** grpc.health.v1 behind keys: strangers hear whether the server is there, and of no model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServiceError, status } from "@grpc/grpc-js";
import { changeKeyFile, newKey } from "#src/access/key-file.js";
import { startEcho } from "../support/echo-server.js";
import { GrpcClient } from "../support/grpc-client.js";
import { TempDir } from "../support/temp-dir.js";

const service = "grpc.health.v1.Health";

test("defect: health tells a stranger of no model, and a key of its own ones only", async () => {
  await using dir = await TempDir.make();
  const keys = dir.file("keys.json");
  const { key, sha256 } = newKey();
  const record = { name: "own", sha256, createdAt: new Date().toISOString(), models: ["other"] };
  await changeKeyFile(keys, () => [record], "create");
  await using echo = await startEcho({ keys, grpcPort: 0 });
  const url = echo.server.otherUrls.find((each) => each.startsWith("grpc://")) ?? "";
  using health = new GrpcClient(url, { service });
  const check = async (name: string, credential?: string): Promise<unknown> => {
    const metadata = credential === undefined ? {} : { authorization: `Bearer ${credential}` };
    return await health.call("Check", { service: name }, { metadata }).then(
      ({ reply }) => reply["status"],
      ({ code }: ServiceError) => code,
    );
  };
  for (const open of ["", "inference.GRPCInferenceService"]) {
    assert.equal(await check(open), "SERVING");
  }
  const [known, none] = [await check("echo"), await check("none")];
  assert.deepEqual([known, none], [status.UNAUTHENTICATED, status.UNAUTHENTICATED]);
  assert.equal(await check("other", "mr_wrong"), status.UNAUTHENTICATED);
  assert.equal(await check("other", key), "SERVING");
  assert.deepEqual(
    [await check("echo", key), await check("none", key)],
    [status.NOT_FOUND, status.NOT_FOUND],
  );
});
