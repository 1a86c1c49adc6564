/** Processes of the benchmark: each side has one of its own, so that neither works on the other's event loop. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export interface BenchChild extends AsyncDisposable {
  /** What `coming` comes to. @throws where the child ends before that */
  while<Value>(coming: Promise<Value>): Promise<Value>;
  /** The first line that it prints. */
  line(): Promise<string>;
  /** All that it prints, when it has ended by itself. */
  output(): Promise<string>;
}

interface ChildOptions {
  /** Of Node. */
  readonly flags?: readonly string[];
  /** What it reads from its standard input; more than fits on a command line. */
  readonly input?: string;
}

export function startChild(
  script: URL,
  args: readonly string[],
  { flags = [], input }: ChildOptions = {},
): BenchChild {
  const name = script.pathname.split("/").at(-1) ?? "";
  const child = spawn(process.execPath, [...flags, fileURLToPath(script), ...args], {
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "inherit"],
  });
  const { stdin, stdout } = child;
  if (stdout === null) throw new Error(`${name} has no output`);
  // A child that ends before it has read everything says so by its exit status.
  stdin?.on("error", () => {}).end(input);
  const exited = once(child, "exit");
  const whileItRuns = async <Value>(coming: Promise<Value>): Promise<Value> => {
    const ended = exited.then(() => {
      throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}, too early`);
    });
    return await Promise.race([coming, ended]);
  };
  return {
    while: whileItRuns,
    line: async () => {
      const lines = createInterface({ input: stdout });
      const [first] = await whileItRuns(once(lines, "line"));
      return String(first);
    },
    output: async () => {
      const output = await text(stdout);
      await exited;
      if (child.exitCode !== 0)
        throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}`);
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
