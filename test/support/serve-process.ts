/** `millrace serve` as a process: its log records, its signals, its exit status. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

/** The real command. */
export const millrace: string = fileURLToPath(import.meta.resolve("#src/cli/main.js"));

const recordMsMax = 50_000;
/** That a failure tells. */
const lastRecords = 5;

export interface ServeAt {
  readonly path: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

export class ServeProcess implements AsyncDisposable {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly exited: Promise<readonly [code: number | null, signal: NodeJS.Signals | null]>;
  errors = "";
  readonly #input: Interface;
  readonly #lines: AsyncIterator<string>;

  /** `script` takes the command's arguments; with an object it runs elsewhere than here. */
  constructor(script: string | ServeAt, ...flags: readonly string[]) {
    const { path, ...at } = typeof script === "string" ? { path: script } : script;
    const args = [path, "serve", "--port", "0", "--log", "json", "--trial", "off", ...flags];
    this.child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], ...at });
    this.exited = once(this.child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
    this.#input = createInterface({ input: this.child.stdout });
    this.#lines = this.#input[Symbol.asyncIterator]();
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("serve was not spawned");
    return this.child.pid;
  }

  /** The next log record with this message; `onOther` is told of those before it. */
  logged(
    message: string,
    onOther: (record: Record<string, unknown>) => void = () => {},
  ): Promise<Record<string, unknown>> {
    return this.#next(`"${message}"`, (record) => {
      const isWanted = record["msg"] === message;
      if (!isWanted) onOther(record);
      return isWanted;
    });
  }

  /** The next log record of this level, 40 for a warning. */
  loggedAt(level: number): Promise<Record<string, unknown>> {
    return this.#next(`a record of level ${level}`, (record) => record["level"] === level);
  }

  async #next(
    what: string,
    isWanted: (record: Record<string, unknown>) => boolean,
  ): Promise<Record<string, unknown>> {
    // A test that times out does not say what it waited for, and leaves the server running.
    const timer = setTimeout(() => {
      this.errors += `no ${what} in ${recordMsMax} ms`;
      this.child.kill("SIGKILL");
    }, recordMsMax);
    try {
      return await this.#nextOf(what, isWanted);
    } finally {
      clearTimeout(timer);
    }
  }

  async #nextOf(
    what: string,
    isWanted: (record: Record<string, unknown>) => boolean,
  ): Promise<Record<string, unknown>> {
    const seen: string[] = [];
    for (;;) {
      const line = await this.#lines.next();
      if (line.done === true) {
        const others = seen.slice(-lastRecords).join("\n");
        throw new Error(`ended before ${what}: ${this.errors}; behind\n${others}`);
      }
      seen.push(line.value);
      const record = JSON.parse(line.value) as Record<string, unknown>;
      if (isWanted(record)) return record;
    }
  }

  /** Reads nothing more of its log, until `readOn`. */
  stopReading(): void {
    this.#input.pause();
  }

  readOn(): void {
    this.#input.resume();
  }

  async url(): Promise<string> {
    return String((await this.logged("ready"))["http"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGKILL");
      await this.exited;
    }
  }
}
