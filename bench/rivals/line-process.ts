/** A resident process that is asked in lines and answers each with one line. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface LineCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export class LineProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #exited: Promise<unknown>;
  readonly #name: string;

  private constructor({ file, args, env = process.env }: LineCommand) {
    this.#name = [file, ...args].join(" ").slice(0, 200);
    this.#child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"], env });
    const { stdout, stdin } = this.#child;
    if (stdout === null || stdin === null) throw new Error(`${this.#name} has no pipes`);
    // A process that ended answers no line, and that is what its asker hears.
    stdin.on("error", () => {});
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", resolve).once("error", resolve);
    });
    this.#reader = createInterface({ input: stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Resolves with the process and its first line: it is ready then. */
  static async start(command: LineCommand): Promise<[LineProcess, string]> {
    const started = new LineProcess(command);
    try {
      return [started, await started.#next()];
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask(line: string): Promise<string> {
    this.#child.stdin?.write(`${line}\n`);
    return await this.#next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.pid !== 0) {
      this.#child.kill("SIGTERM");
    }
    await this.#exited;
    this.#reader.close();
  }

  async #next(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done === true) {
      await this.#exited;
      const { exitCode, signalCode } = this.#child;
      throw new Error(`${this.#name} ended with ${exitCode ?? signalCode ?? "nothing started"}`);
    }
    return String(value);
  }
}

/** A script of this folder, with what it is told as JSON. */
export function scriptOf(script: string, spec: object): LineCommand {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return { file: process.execPath, args: [path, JSON.stringify(spec)] };
}

/** The other end: says that it is ready, then answers line after line. */
export async function answerLines(
  ready: object,
  answer: (asked: unknown) => Promise<object>,
): Promise<void> {
  console.log(JSON.stringify(ready));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
}
