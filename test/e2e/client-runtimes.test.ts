/** The client in other runtimes than this one, against a real server: what it says is the same everywhere. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { MillraceServer } from "#src/index.js";
import { startReal } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const run = promisify(execFile);
const limit = { timeout: 120_000 };
const program = fileURLToPath(new URL("../support/runtime-program.js", import.meta.url));

/** By name, what is started, and what it is told before the program. */
const runtimes: readonly (readonly [string, string, readonly string[]])[] = [
  // Node has a WebSocket of its own from 22 on.
  ["Node", process.execPath, ["--experimental-websocket"]],
  ["Bun", "bun", []],
  ["Deno", "deno", ["run", "--no-config", "--no-lock", "--allow-net", "--allow-read"]],
];

let server: MillraceServer;
let jobs: TempDir;
before(async () => {
  jobs = await TempDir.make();
  server = await startReal({ pipelines: 1, data: jobs.path });
}, limit);
after(async () => {
  await server.close();
  await jobs[Symbol.asyncDispose]();
});

async function whyNot(command: string): Promise<string | false> {
  return await run(command, ["--version"]).then(
    () => false,
    () =>
      `there is no ${command}; \`node scripts/runtimes.js ${command}\` fetches it, and prints a folder for the PATH`,
  );
}

for (const [name, command, flags] of runtimes) {
  test(`the client in ${name}: translates, streams, runs a job, is refused, and leaves`, {
    ...limit,
    skip: await whyNot(command),
  }, async () => {
    const args = [...flags, program, import.meta.resolve("millrace-client"), server.url];
    const { stdout } = await run(command, args, limit);
    const said = JSON.parse(stdout) as Record<string, unknown> & { readonly translated: string[] };
    const { translated } = said;
    assert.equal(translated.length, 3);
    for (const text of translated) assert.match(text, /\p{Script=Han}/u);
    assert.deepEqual(said, {
      translated,
      streamed: translated,
      each: translated,
      state: "completed",
      rows: translated,
      overSocket: translated,
      early: 1,
      codes: {
        unknownModel: "model_not_found",
        nobody: "connection_failed",
        left: "cancelled",
      },
      closed: "cancelled",
    });
  });
}
