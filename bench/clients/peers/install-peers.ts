/** The packages of the usual way are none of ours: they are installed beside, in a folder of their own, and only when asked for. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { peerApp, peerPackages } from "./peer-app.js";

const runFile = promisify(execFile);

export interface Peers {
  readonly dir: string;
  readonly install: boolean;
  readonly say: (line: string) => void;
}

/** The script of the app; null, and it was said why, where there is none. */
export async function openPeers({ dir, install, say }: Peers): Promise<string | null> {
  const names = Object.entries(peerPackages).map(([name, version]) => `${name}@${version}`);
  const isThere = Object.keys(peerPackages).every((name) =>
    existsSync(join(dir, "node_modules", name)),
  );
  if (!isThere && !install) {
    say(
      `peers: left out, ${names.join(" and ")} are not in ${dir}; --install-peers puts them there`,
    );
    return null;
  }
  if (!isThere) {
    say(`peers: installing ${names.join(" and ")} in ${dir}, some 500 MB`);
    await mkdir(dir, { recursive: true });
    const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir];
    try {
      await runFile("npm", ["install", ...flags, ...names], { cwd: dir });
    } catch (error) {
      say(`peers: left out, they cannot be installed: ${String(error).slice(0, 500)}`);
      return null;
    }
  }
  const script = join(dir, "app.mjs");
  await writeFile(script, peerApp);
  return script;
}
