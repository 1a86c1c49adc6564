/** A real nats-server with JetStream on a free port of 127.0.0.1, in a folder of its own: stopped, killed, frozen, started again. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { TempDir } from "./temp-dir.js";

const program = "nats-server";

/** For `test(name, { skip: skipWithoutNats }, …)`. */
export const skipWithoutNats: string | false =
  spawnSync(program, ["--version"]).status === 0
    ? false
    : "nats-server is not there: Debian's package of that name has it";

export interface NatsServerOptions {
  /** Where it listens. Default: 127.0.0.1. */
  readonly host?: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** PEM. With `ca` clients must show a certificate. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** Bytes that JetStream may keep. Default: what the disk has. */
  readonly maxFileStore?: number;
  /** Further lines of its configuration. */
  readonly config?: string;
}

const startMsMax = 20_000;

export class NatsServer implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #options: NatsServerOptions;
  /** 0 until it was started once; the same from then on. */
  port = 0;
  /** What it said since it was started last. */
  log = "";
  #child: ChildProcess | null = null;

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const server = new NatsServer(await TempDir.make(), options);
    await server.start();
    return server;
  }

  private constructor(dir: TempDir, options: NatsServerOptions) {
    this.#dir = dir;
    this.#options = options;
  }

  get #host(): string {
    return this.#options.host ?? "127.0.0.1";
  }

  /** With the user and password, or the token, where it asks for them. */
  get url(): string {
    const { user, password, token, tls } = this.#options;
    const who = user === undefined ? token : `${user}:${password ?? ""}`;
    const scheme = tls === undefined ? "nats" : "tls";
    return `${scheme}://${who === undefined ? "" : `${who}@`}${this.#host}:${this.port}`;
  }

  /** Where its streams lie. */
  get storeDir(): string {
    return this.#dir.file("store");
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("nats-server does not run");
    return pid;
  }

  /** On the same port with the same store; `isEmpty`: with an empty one. */
  async start({ isEmpty = false }: { readonly isEmpty?: boolean } = {}): Promise<void> {
    if (this.#child !== null) throw new Error("nats-server runs already");
    if (isEmpty) await rm(this.storeDir, { recursive: true, force: true });
    const config = this.#dir.file("nats.conf");
    await writeFile(config, await this.#config());
    this.log = "";
    const port = this.port === 0 ? -1 : this.port;
    const child = spawn(program, ["-c", config, "-a", this.#host, "-p", String(port)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    const timer = setTimeout(() => child.kill("SIGKILL"), startMsMax);
    await new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", () => reject(new Error(`nats-server ended: ${this.log}`)));
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        this.log += text;
        const [, found] = /Listening for client connections on [^\n]*:(\d+)/.exec(this.log) ?? [];
        if (found !== undefined) this.port = Number(found);
        if (this.log.includes("Server is ready")) resolve();
      });
    });
    clearTimeout(timer);
    child.on("exit", () => {
      // Thrown for nobody to catch: the test that runs fails by it, where it would wait for NATS for ever.
      if (this.#child === child) throw new Error(`nats-server died: ${this.log}`);
    });
  }

  /** As an operator would: SIGTERM. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /**
   * It keeps its connections and says nothing: as if the network were cut. Resolves when none of its threads can answer any more: each
   * stops when the kernel comes to it.
   */
  async freeze(): Promise<void> {
    const { pid } = this;
    process.kill(pid, "SIGSTOP");
    while (process.platform === "linux" && !(await areStopped(pid))) await delay(1);
  }

  thaw(): void {
    process.kill(this.pid, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#dir[Symbol.asyncDispose]();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    // One that is frozen hears SIGTERM only when it goes on.
    child.kill("SIGCONT");
    await exited;
  }

  async #config(): Promise<string> {
    const { user, password = "", token, tls, maxFileStore, config = "" } = this.#options;
    const limit = maxFileStore === undefined ? "" : `, max_file_store: ${maxFileStore}`;
    const lines = [`jetstream { store_dir: ${JSON.stringify(this.storeDir)}${limit} }`, config];
    const who = JSON.stringify;
    if (user !== undefined) {
      lines.push(`authorization { user: ${who(user)}, password: ${who(password)} }`);
    } else if (token !== undefined) lines.push(`authorization { token: ${who(token)} }`);
    if (tls !== undefined) {
      const parts: string[] = [];
      for (const [name, pem] of Object.entries({ cert: tls.cert, key: tls.key, ca: tls.ca })) {
        if (pem === undefined) continue;
        const path = this.#dir.file(`${name}.pem`);
        await writeFile(path, pem, { mode: 0o600 });
        parts.push(`${name}_file: ${JSON.stringify(path)}`);
      }
      if (tls.ca !== undefined) parts.push("verify: true");
      lines.push(`tls { ${parts.join(", ")} }`);
    }
    return `${lines.join("\n")}\n`;
  }
}

async function areStopped(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`);
  const states = await Promise.all(
    threads.map(async (thread) => {
      const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, "utf8");
      return stat.slice(stat.lastIndexOf(")") + 2)[0];
    }),
  );
  return states.every((state) => state === "T");
}
