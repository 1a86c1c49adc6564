/**
 * A guide of docs/guides, done as it says: what it marks `typed` is typed into a shell, in order and in one folder; `served` is a
 * server that runs from there on; `run` is a program; and what a block marked `printed` shows is what the one before it printed,
 * where `…` stands for anything.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { type Fence, readPage } from "../../site/page.js";
import { finish } from "./finish.js";
import { millrace, ServeProcess } from "./serve-process.js";

const usual = "http://127.0.0.1:8400";

export class TypedGuide implements AsyncDisposable {
  readonly #name: string;
  readonly #dir: string;
  #server: ServeProcess | null = null;
  #url = usual;
  #out = "";

  private constructor(name: string, dir: string) {
    this.#name = name;
    this.#dir = dir;
  }

  /** `dir` is empty, or has what the guide says was brought from elsewhere. */
  static async in(dir: string, name: string): Promise<TypedGuide> {
    const bin = join(dir, ".bin");
    await mkdir(bin);
    const command = join(bin, "millrace");
    await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${millrace}" "$@"\n`);
    await chmod(command, 0o755);
    await symlink(resolve("node_modules"), join(dir, "node_modules"));
    return new TypedGuide(name, dir);
  }

  /** @returns How many blocks were done. */
  async follow(): Promise<number> {
    const page = readPage(`docs/guides/${this.#name}.md`);
    const marked = page.fences.filter(({ mark }) => mark !== null);
    for (const fence of marked) await this.#do(fence);
    return marked.length;
  }

  async #do(fence: Fence): Promise<void> {
    if (fence.mark === "served") await this.#serve(fence);
    else if (fence.mark === "printed") this.#compare(fence);
    else if (fence.mark === "typed") await this.#run("bash", ["-euo", "pipefail", "-c"], fence);
    else if (fence.language === "python") await this.#run("python3", ["-c"], fence);
    else await this.#run(process.execPath, ["--input-type=module", "-e"], fence);
  }

  async #run(command: string, args: readonly string[], fence: Fence): Promise<void> {
    const program = fence.text.replaceAll(usual, this.#url);
    const child = spawn(command, [...args, program], { cwd: this.#dir, env: this.#env() });
    const { out, err, code } = await finish(child);
    assert.equal(code, 0, `${this.#where(fence)}: ${err}`);
    assert.notEqual(out, "", `${this.#where(fence)} printed nothing`);
    this.#out = out;
  }

  #compare(fence: Fence): void {
    const wanted = fence.text.split("…").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    const pattern = new RegExp(`^${wanted.join("[^\\n]*")}$`);
    assert.match(this.#out, pattern, this.#where(fence));
  }

  async #serve(fence: Fence): Promise<void> {
    const [, , ...flags] = fence.text.trim().split(/\s+/);
    await this.#server?.[Symbol.asyncDispose]();
    const at = { path: millrace, cwd: this.#dir, env: this.#env() };
    this.#server = new ServeProcess(at, ...flags, "--pipelines", "1");
    this.#url = await this.#server.url();
  }

  #env(): NodeJS.ProcessEnv {
    const { MILLRACE_URL: _url, MILLRACE_CONFIG: _file, ...env } = process.env;
    const path = `${join(this.#dir, ".bin")}${delimiter}${env["PATH"] ?? ""}`;
    // Where no server was named, the guide's own is meant; before there is one nobody listens there.
    const port = this.#server === null ? "1" : new URL(this.#url).port;
    return { ...env, PATH: path, MILLRACE_PORT: port };
  }

  #where({ line }: Fence): string {
    return `docs/guides/${this.#name}.md, line ${line}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }
}
