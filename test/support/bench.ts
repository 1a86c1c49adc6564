/** `npm run bench` as a process, and the figures that it prints. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const runFile = promisify(execFile);

export async function bench(...args: string[]): Promise<string> {
  const { stdout } = await runFile(process.execPath, ["build/bench/main.js", ...args]);
  return stdout;
}

/** `#` stands for a figure with its least and its most. */
export function figuresIn(out: string): string[] {
  return out.split("\n").map((line) =>
    line
      .replace(/ target .*$/, "")
      .replace(/-?\d+(\.\d+)? \(-?\d+(\.\d+)?–-?\d+(\.\d+)?\)/, "#")
      .replace(/ +/g, " ")
      .trim(),
  );
}
