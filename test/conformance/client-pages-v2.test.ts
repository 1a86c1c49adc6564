/** The snippets of docs/clients for the Open Inference Protocol, run as they stand there, before an echo. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { startEcho } from "../support/echo-server.js";

const run = promisify(execFile);

for (const page of ["grpc", "kserve-triton"]) {
  test(`docs/clients/${page}.md`, async () => {
    await using echo = await startEcho({ grpcPort: 0 });
    const text = readFileSync(`docs/clients/${page}.md`, "utf8");
    const [, code = ""] = /```js\n(.*?)```/s.exec(text) ?? [];
    const [grpc = ""] = echo.server.otherUrls;
    const env = {
      ...process.env,
      MODEL: "echo",
      MILLRACE_URL: echo.server.url,
      MILLRACE_GRPC: grpc.replace("grpc://", ""),
    };
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], { env });
    assert.equal(stdout, ".gninrom dooG\n?uoy era woH\n");
  });
}
