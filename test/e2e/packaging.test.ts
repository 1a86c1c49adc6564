/**
 * Both tarballs, installed by a stranger behind a firewall. onnxruntime-node's postinstall fetches GPU libraries
 * from elsewhere and fails where it cannot; no package can switch that off for those who install it (`allowScripts`
 * and .npmrc count in their project only, and bundling does not help). So it is an optional dependency, and we hold what
 * the docs tell them: `--ignore-scripts`, which nothing that Millrace needs minds, in both npms. Who does not know it is in
 * first-minute.test.ts.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isLong, longTest } from "../support/long.js";
import { isUnreachable } from "../support/npm-registry.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));
const quick = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];

async function install(
  cwd: string,
  tarballs: readonly string[],
  [command, ...prefix]: readonly [string, ...string[]],
): Promise<void> {
  await run(command, [...prefix, "install", "--ignore-scripts", ...quick, ...tarballs], { cwd });
}

const skip = isLong && (await isUnreachable()) && "the npm registry cannot be reached";

longTest(
  "the tarballs run in an empty folder, installed by this npm and npm 10",
  { skip },
  async (context) => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-pack-"));
    context.after(() => rm(folder, { recursive: true }));
    // Without scripts: prepack would clean and build under the feet of the other tests.
    const pack = ["pack", "--ignore-scripts", "--pack-destination", folder];
    await run("npm", [...pack, "-w", "client", "--include-workspace-root"], { cwd: root });
    const tarballs = (await readdir(folder)).map((name) => join(folder, name));
    assert.equal(tarballs.length, 2);
    for (const tarball of tarballs)
      await assertTidy(tarball, await mkdtemp(join(folder, "unpacked-")));
    for (const npm of [["npm"], ["npx", "-y", "npm@10"]] as const) {
      await context.test(npm.join(" "), async () => {
        const cwd = await mkdtemp(join(folder, "app-"));
        await writeFile(join(cwd, "package.json"), '{"private":true,"type":"module"}');
        await install(cwd, tarballs, npm);
        const help = await run(join(cwd, "node_modules", ".bin", "millrace"), ["--help"]);
        assert.match(help.stdout, /translate/);
        const first = ["--no-install", "millrace", "translate", "Good morning.", "--local"];
        const { stdout: translated, stderr: told } = await run("npx", first, { cwd });
        assert.match(translated, /^\p{Script=Han}.*\n$/u);
        assert.match(told, /^millrace: this process does it, .*\n$/);
        const source = `
        import { Millrace } from "millrace-client";
        import { errorRegistry } from "millrace-client/wire";
        import { InferenceSession } from "onnxruntime-node";
        console.log(typeof Millrace, typeof errorRegistry, typeof InferenceSession);`;
        const imported = await run(process.execPath, ["--input-type=module", "-e", source], {
          cwd,
        });
        assert.equal(imported.stdout, "function object function\n");
        const program = `
        import { createServer } from "millrace";
        import { Millrace } from "millrace-client";
        const server = await createServer({ port: 0, logLevel: "warn" });
        const client = new Millrace(server.url);
        const { results } = await client.translate("Good morning.");
        console.log(results[0].text);
        client.close();
        console.log(await server.close());`;
        const served = await run(process.execPath, ["--input-type=module", "-e", program], { cwd });
        assert.match(served.stdout, /^\p{Script=Han}.*\ntrue\n$/u);
        await rm(cwd, { recursive: true });
      });
    }
  },
);

/** It goes to `unpacked`: what a stranger needs is in it, source maps lead somewhere, and nothing of the build or the tests comes along. */
async function assertTidy(tarball: string, unpacked: string): Promise<void> {
  const { stdout } = await run("tar", ["-xvzf", tarball, "-C", unpacked], { maxBuffer: 2 ** 24 });
  const names = new Set(stdout.trimEnd().split("\n"));
  for (const name of ["README.md", "LICENSE", "package.json"])
    assert.ok(names.has(`package/${name}`), `${name} is not in ${tarball}`);
  for (const name of names) {
    assert.doesNotMatch(name, /tsbuildinfo|tsconfig|\/(test|build|bench|node_modules)\//);
  }
  for (const name of [...names].filter((each) => each.endsWith(".js.map"))) {
    const map = JSON.parse(await readFile(join(unpacked, name), "utf8")) as {
      readonly sources: readonly string[];
      readonly mappings: string;
    };
    const sources = map.sources.map((source) => join(dirname(name), source));
    // What else is in one file with our own has its sources in its own package.
    for (const source of sources.filter((each) => each.startsWith("package/src/")))
      assert.ok(names.has(source), `${source}, which ${name} leads to`);
    // A file that only passes on names of others has no line of its own.
    assert.ok(sources.length > 0 || map.mappings === "", name);
  }
}
