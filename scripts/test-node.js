// `npm run test:node -- 22 [WORD…]`: what was built and its tests on another version of Node, from the npm registry. Without a WORD
// it is what depends on the runtime most: the rooms one by one, real processes, and what users start.
import { spawnSync } from "node:child_process";
import { delimiter, dirname } from "node:path";
import { fetchRuntime } from "./runtimes.js";

const [version, ...words] = process.argv.slice(2);
if (version === undefined) throw new Error("name a version: npm run test:node -- 22");

const usual = [
  "test/unit/",
  "conformance/client-",
  "conformance/inference-v2",
  "conformance/profile",
  "e2e/embedded",
  "e2e/serve-command",
  "faults/orphan",
];

let node;
try {
  node = fetchRuntime(`node@${version}`);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
// What tests start by name is this one as well.
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
console.log(`Node ${stdout.trim()}`);
const { status } = spawnSync(node, ["scripts/test.js", ...(words.length > 0 ? words : usual)], {
  stdio: "inherit",
  env,
});
process.exitCode = status ?? 1;
