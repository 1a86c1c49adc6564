/** A stranger's first minute with `npx`, behind a firewall that lets only the npm registry through, in both npms. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isLong, longTest } from "../support/long.js";
import { isUnreachable } from "../support/npm-registry.js";
import { TempDir } from "../support/temp-dir.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));
/** Nobody answers there; the install script heeds no other proxy. */
const behindFirewall = { ...process.env, GLOBAL_AGENT_HTTPS_PROXY: "http://127.0.0.1:1" };

longTest(
  "npx of this npm and of npm 10: who does not know is told what to type, and it works",
  {
    skip: await whyNot(),
  },
  async (context) => {
    await using dir = await TempDir.make();
    // Without scripts: prepack would clean and build under the feet of the other tests.
    const pack = ["pack", "--ignore-scripts", "--pack-destination", dir.path];
    await run("npm", [...pack, "-w", "client", "--include-workspace-root"], { cwd: root });
    const tarballs = (await readdir(dir.path)).map((file) => `--package=${dir.file(file)}`);
    // What npx keeps is this test's own; what the first has fetched the others have.
    const env = {
      ...behindFirewall,
      npm_config_cache: dir.file("cache"),
      npm_config_prefer_offline: "true",
    };
    const words = ["--", "millrace", "translate", "Good morning.", "--local"];
    for (const [npm, ...prefix] of [["npm"], ["npx", "-y", "npm@10"]] as const) {
      await context.test([npm, ...prefix].join(" "), async () => {
        const npx = async (...flags: string[]): Promise<{ stdout: string; stderr: string }> => {
          const args = [...prefix, "exec", "--yes", "--loglevel=error", ...tarballs, ...flags];
          return await run(npm, [...args, ...words], { cwd: dir.path, env }).catch(
            (error: Error & { readonly stdout: string; readonly stderr: string }) => error,
          );
        };
        const { stderr } = await npx();
        const [typed = ""] = /--package=onnxruntime-node@[\d.]+/.exec(stderr) ?? [];
        assert.ok(typed !== "" && stderr.includes("npx --ignore-scripts"), stderr);
        const { stdout, stderr: told } = await npx("--ignore-scripts", typed);
        assert.match(stdout, /^\p{Script=Han}.*\n$/u, told);
      });
    }
  },
);

async function whyNot(): Promise<string | false> {
  // Where it does not run nobody asks the registry.
  if (!isLong) return false;
  if (process.platform !== "linux" || process.arch !== "x64")
    return "only there the script fetches";
  return (await isUnreachable()) && "the npm registry cannot be reached";
}
