/** What the command says when a server does not start: which option is meant, and what scripts learn. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { exitCodes } from "#src/cli/exit-codes.js";
import { startProblem } from "#src/cli/start-problem.js";
import { absentModels } from "#src/front/absent-models.js";
import { resolveConfiguration } from "#src/options/resolve.js";

const { options } = resolveConfiguration({
  code: { port: 0, grpcPort: 8401, adminPort: 8402, bertPort: 5555, bertPortOut: 5556 },
});

function listening(code: string, fields: object): Error {
  return Object.assign(new Error(code), { code, ...fields });
}

test("defect: the port that is taken is called by its own option", () => {
  for (const [port, flag] of [
    [8401, "--grpc-port"],
    [8402, "--admin-port"],
    [5555, "--bert-port"],
    [5556, "--bert-port-out"],
  ] as const) {
    const problem = startProblem(listening("EADDRINUSE", { port, address: "127.0.0.1" }), options);
    assert.match(problem.message, new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: `));
    assert.ok(problem.message.includes(`give another ${flag} (`), problem.message);
    assert.deepEqual(problem.fields, { code: "EADDRINUSE", host: "127.0.0.1", port });
    assert.equal(problem.exitCode, exitCodes.notStarted);
  }
});

test("a name that cannot be resolved, and an address that is another machine's, name their host's option", () => {
  const named = { ...options, host: "no.such.host", zmqHost: "eth7" };
  const unknown = startProblem(listening("ENOTFOUND", { hostname: "no.such.host" }), named);
  assert.match(unknown.message, /^cannot listen on no\.such\.host:0: .*correct --host/);
  const device = startProblem(listening("ENODEV", { address: "eth7", port: 5555 }), named);
  assert.match(device.message, /^cannot listen on eth7:5555: .*give an address as --zmq-host/);
});

test("defect: a file that an option names and that cannot be used is told as a wrong option is", () => {
  for (const code of ["option_invalid", "key_file_invalid"] as const) {
    const { exitCode } = startProblem(new MillraceError(code, "…"), options);
    assert.equal(exitCode, exitCodes.usage);
  }
  const failed = startProblem(new MillraceError("model_folder_invalid", "…"), options);
  assert.equal(failed.exitCode, exitCodes.notStarted);
});

test("defect: a model that an option names and nobody serves is warned of", () => {
  const models = [{ name: "en-zh" }, { name: "minilm" }];
  const asked = { teiModel: "minilm", bertModel: "bert-base", ectransModel: null };
  assert.deepEqual(absentModels(asked, models), [
    '--bert-model: there is no model "bert-base"; clients are refused until there is one; there are: en-zh, minilm',
  ]);
});
