// Other runtimes than the one that runs this, from the npm registry alone. `node scripts/runtimes.js bun deno node@22` prints the
// folder of each binary, a line each; they are kept in node_modules/.cache.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { platform, arch } = process;
const exe = platform === "win32" ? ".exe" : "";
const gnu = platform === "linux" ? "-glibc" : "";
const arm = arch === "arm64" ? "aarch64" : arch;

/** By name, the package that has the binary for this system, and where in it. Their install scripts are not run. */
const packages = {
  node: [`node-${platform === "win32" ? "win" : platform}-${arch}`, `bin/node${exe}`],
  bun: [`@oven/bun-${platform === "win32" ? "windows" : platform}-${arm}`, `bin/bun${exe}`],
  deno: [`@deno/${platform}-${arch}${gnu}`, `deno${exe}`],
};

/** The path of the binary; `wanted` is a name, or one with a version such as `node@22`. Throws where it cannot be had. */
export function fetchRuntime(wanted) {
  const [name, version = "latest"] = wanted.split("@");
  const known = packages[name];
  if (known === undefined) {
    throw new Error(`${wanted} is none of ${Object.keys(packages).join(", ")}`);
  }
  const [pkg, path] = known;
  const folder = resolve("node_modules/.cache/runtimes", `${name}-${version}`);
  const binary = resolve(folder, "node_modules", pkg, path);
  if (existsSync(binary)) return binary;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { status, stderr } = spawnSync(
    "npm",
    `install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error --prefix`
      .split(" ")
      .concat(folder, `${pkg}@${version}`),
    { encoding: "utf8", shell: platform === "win32", timeout: 300_000 },
  );
  if (status === 0 && existsSync(binary)) return binary;
  const said = stderr?.trim().split("\n")[0] ?? "";
  throw new Error(`${wanted} could not be had: npm install ${pkg}@${version} failed. ${said}`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    for (const wanted of process.argv.slice(2)) console.log(dirname(fetchRuntime(wanted)));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
