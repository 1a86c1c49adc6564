/**
 * Both tarballs, installed by a stranger behind a firewall. onnxruntime-node's postinstall fetches GPU libraries
 * from elsewhere and fails the whole install where it cannot; no package can switch that off for those who
 * install it (`allowScripts` and .npmrc count in their project only, and bundling does not help). So we hold
 * what the README tells them: `--ignore-scripts`, which nothing that Millrace needs minds, in both npms.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isLong } from "../support/long.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));
const quick = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];

const unreachable = await run("npm", ["view", "commander", "version", "--fetch-retries=0"]).then(
  () => false,
  () => "the npm registry cannot be reached",
);

test("the tarballs install and run in an empty folder, with this npm and, in the long run, with npm 10", {
  skip: unreachable,
}, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-pack-"));
  context.after(() => rm(folder, { recursive: true }));
  // Without scripts: prepack would clean and build under the feet of the other tests.
  const pack = ["pack", "--ignore-scripts", "--pack-destination", folder];
  await run("npm", pack, { cwd: root });
  await run("npm", [...pack, "-w", "client"], { cwd: root });
  const tarballs = (await readdir(folder)).map((name) => join(folder, name));
  assert.equal(tarballs.length, 2);
  for (const tarball of tarballs) await assertTidy(tarball);
  const npms = [
    ["npm", "npm", []],
    ...(isLong ? [["npm 10", "npx", ["-y", "npm@10"]] as const] : []),
  ] as const;
  for (const [name, command, prefix] of npms) {
    await context.test(name, async () => {
      const cwd = await mkdtemp(join(folder, "app-"));
      await writeFile(join(cwd, "package.json"), '{"private":true,"type":"module"}');
      await run(command, [...prefix, "install", "--ignore-scripts", ...quick, ...tarballs], {
        cwd,
      });
      const help = await run("npx", ["--no-install", "millrace", "--help"], { cwd });
      assert.match(help.stdout, /translate/);
      const source = `
        import { Millrace } from "millrace-client";
        import { errorRegistry } from "millrace-client/wire";
        import { InferenceSession } from "onnxruntime-node";
        console.log(typeof Millrace, typeof errorRegistry, typeof InferenceSession);`;
      const imported = await run(process.execPath, ["--input-type=module", "-e", source], { cwd });
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
});

/** What a stranger needs is in it, source maps lead somewhere, and nothing of the build or the tests comes along. */
async function assertTidy(tarball: string): Promise<void> {
  const { stdout } = await run("tar", ["-tzf", tarball], { maxBuffer: 2 ** 24 });
  const names = new Set(stdout.trimEnd().split("\n"));
  for (const name of ["README.md", "LICENSE", "package.json"])
    assert.ok(names.has(`package/${name}`), `${name} is not in ${tarball}`);
  for (const name of names) {
    assert.doesNotMatch(name, /tsbuildinfo|tsconfig|\/(test|build|bench|node_modules)\//);
    const source = name.replace("/dist/", "/src/").replace(/\.js\.map$/, ".ts");
    if (source !== name && name.endsWith(".js.map")) assert.ok(names.has(source), source);
  }
}
