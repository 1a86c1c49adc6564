// Installs and builds when the checkout needs it, so that `npm test` and `npm run demo` work on a fresh clone.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";

function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    stdio: "inherit",
    env: { ...process.env, ...env },
    shell: process.platform === "win32",
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function installedIsCurrent() {
  const marker = "node_modules/.package-lock.json";
  if (!existsSync(marker)) return false;
  const installed = JSON.parse(readFileSync(marker, "utf8")).packages;
  const wanted = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === "" ||
      !path.startsWith("node_modules/") ||
      entry.link ||
      // What is optional may be missing, and is no other version than wanted.
      (entry.optional && installed[path] === undefined) ||
      installed[path]?.version === entry.version,
  );
}

if (!installedIsCurrent()) {
  console.log("Installing dependencies (once; from the npm registry) …");
  // onnxruntime-node's install script fetches GPU libraries from elsewhere; the CPU library is in the package.
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    ONNXRUNTIME_NODE_INSTALL: "skip",
  });
}
for (const folder of ["dist", "build", "client/dist"])
  rmSync(folder, { recursive: true, force: true });
run(process.execPath, ["node_modules/typescript/bin/tsc", "-b"]);
run(process.execPath, ["scripts/entries.js"]);
run(process.execPath, ["scripts/page.js"]);
