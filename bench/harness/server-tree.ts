/** `millrace serve` in a process group of its own, so that it can be killed, stopped and let go on with all that it started. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The real command, and the one whose workers take recorded times (timed/timed-model.ts). */
const serveScripts: Readonly<Record<"real" | "timed", string>> = {
  real: fileURLToPath(import.meta.resolve("#src/cli/main.js")),
  timed: fileURLToPath(new URL("../timed/serve.js", import.meta.url)),
};

/** Starts a command as the leader of a group, with its output in a pipe. */
export type Launch = (
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
) => ChildProcess | Promise<ChildProcess>;

export type ServeFlags = Readonly<Record<string, string | number | true>>;

export interface TreeSpec {
  /** What its errors call it. */
  readonly name: string;
  readonly script: keyof typeof serveScripts;
  /** By their names on the command line. */
  readonly flags: ServeFlags;
  readonly env?: Readonly<Record<string, string>>;
  readonly launch?: Launch;
  /** Each line of its log until it is ready. */
  readonly onRecord?: ((record: LogRecord) => void) | undefined;
}

/** A line of the log, with what the message says beside its words. */
export interface LogRecord {
  readonly msg?: string;
  readonly [field: string]: unknown;
}

/** For whoever looks for what went wrong: a folder for the logs of all servers. */
const logsDir = process.env["BENCH_LOGS"];

const errorCharactersMax = 4_000;
const alive = new Set<number>();
// A benchmark that is ended early leaves nothing running.
process.on("exit", () => {
  for (const pid of alive) signalGroup(pid, "SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

export class ServerTree implements AsyncDisposable {
  readonly startedAtMs: number;
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #ready: Promise<string>;
  #errors = "";

  private constructor(
    { name, onRecord }: Pick<TreeSpec, "name" | "onRecord">,
    child: ChildProcess,
    startedAtMs: number,
  ) {
    this.name = name;
    this.#child = child;
    this.startedAtMs = startedAtMs;
    this.#exited = once(child, "exit");
    const { pid } = this;
    alive.add(pid);
    this.#exited.then(
      () => alive.delete(pid),
      () => {},
    );
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#errors = (this.#errors + text).slice(-errorCharactersMax);
    });
    this.#ready = this.#readUntilReady(onRecord);
    // Whoever waits for it hears of it.
    this.#ready.catch(() => {});
  }

  /** It is spawned when this resolves, and ready when `ready` does. */
  static async start({
    name,
    script,
    flags,
    env,
    launch = spawnGroup,
    onRecord,
  }: TreeSpec): Promise<ServerTree> {
    const given: ServeFlags = { trial: "off", log: "json", ...flags };
    const argv = [
      process.execPath,
      serveScripts[script],
      "serve",
      ...Object.entries(given).flatMap(([flag, value]) =>
        value === true ? [`--${flag}`] : [`--${flag}`, String(value)],
      ),
    ];
    const startedAtMs = performance.now();
    const child = await launch(argv, { ...process.env, ...env });
    return new ServerTree({ name, onRecord }, child, startedAtMs);
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.name} was not spawned`);
    return pid;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Its URL. */
  ready(): Promise<string> {
    return this.#ready;
  }

  /** To all of its processes. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) signalGroup(this.pid, signal);
  }

  /** SIGKILL to all of its processes at once; nothing of it runs when this resolves. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #readUntilReady(onRecord: TreeSpec["onRecord"]): Promise<string> {
    const { stdout } = this.#child;
    if (stdout === null) throw new Error(`${this.name} has no output`);
    if (logsDir !== undefined)
      stdout.pipe(createWriteStream(join(logsDir, `${this.name}-${this.pid}.log`)));
    const last: string[] = [];
    for await (const line of createInterface({ input: stdout })) {
      const record = line.startsWith("{") ? (JSON.parse(line) as LogRecord) : {};
      onRecord?.(record);
      if (record.msg === "ready") {
        stdout.resume();
        return textOf(record, "http");
      }
      last.push(line);
      if (last.length > 5) last.shift();
    }
    throw new Error(`${this.name} ended before it was ready:\n${last.join("\n")}\n${this.#errors}`);
  }
}

/** @throws where the message does not say it in words */
export function textOf({ msg, ...record }: LogRecord, field: string): string {
  const text = record[field];
  if (typeof text === "string") return text;
  throw new Error(`the log's ${JSON.stringify(msg)} says nothing of ${field}`);
}

function spawnGroup(argv: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const [command = "", ...args] = argv;
  return spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, env });
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}
