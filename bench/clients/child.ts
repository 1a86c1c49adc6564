/** Processes of the benchmark: each side has one of its own, so that neither works on the other's event loop. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export interface BenchChild extends AsyncDisposable {
  /** The first line that it prints. */
  line(): Promise<string>;
  /** All that it prints, when it has ended by itself. */
  output(): Promise<string>;
}

/** A script of this folder, or one that is given with its whole path. */
export function startChild(
  script: string,
  args: readonly string[],
  flags: readonly string[] = [],
): BenchChild {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [...flags, path, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { stdout } = child;
  const exited = once(child, "exit");
  return {
    line: async () => {
      const lines = createInterface({ input: stdout });
      const first = await Promise.race([once(lines, "line"), exited.then(() => null)]);
      if (first === null) throw new Error(`${script} ended before it said anything`);
      return String(first[0]);
    },
    output: async () => {
      const output = await text(stdout);
      await exited;
      if (child.exitCode !== 0)
        throw new Error(`${script} ended with ${child.exitCode ?? child.signalCode}`);
      return output;
    },
    [Symbol.asyncDispose]: async () => {
      if (isRunning(child)) child.kill("SIGTERM");
      await exited;
    },
  };
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}
