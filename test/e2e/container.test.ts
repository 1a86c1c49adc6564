/**
 * The container file without a container: its steps, as they stand there, in an empty folder that stands for the container's root. What
 * comes out starts, answers its health check, and stops as a container is stopped. In full in the long run, for it installs from the registry.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isLong } from "../support/long.js";
import { TempDir } from "../support/temp-dir.js";

const run = promisify(execFile);
const checkout = fileURLToPath(new URL("../../../", import.meta.url));

interface Instruction {
  readonly name: string;
  readonly text: string;
}

function instructionsOf(dockerfile: string): Instruction[] {
  return dockerfile
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, name = "", text = ""] = /^([A-Z]+) +(.*)$/.exec(line.trim()) ?? [];
      return { name, text };
    });
}

/** The folder stands for the root of both stages: nothing has the same path in them. */
class Built {
  readonly #root: string;
  /** Nothing is installed and copied: only read. */
  readonly #isDry: boolean;
  #workDir = "/";
  readonly environment: Record<string, string> = {};
  health: readonly string[] = [];
  entry: readonly string[] = [];
  steps = 0;

  constructor(root: string, { isDry }: { readonly isDry: boolean }) {
    this.#root = root;
    this.#isDry = isDry;
  }

  at(path: string): string {
    return path.startsWith("/") ? join(this.#root, path) : join(this.#root, this.#workDir, path);
  }

  /** What is in quotes and in paths of the container is on this machine below the folder. */
  here(text: string): string {
    return text.replaceAll(/(?<=^|[\s=])\/(?:app|build|var)\b/g, (path) => `${this.#root}${path}`);
  }

  async take({ name, text }: Instruction): Promise<void> {
    this.steps += 1;
    if (name === "WORKDIR") {
      this.#workDir = text;
      await mkdir(this.at("."), { recursive: true });
    } else if (name === "COPY") await this.#copy(text);
    else if (name === "RUN") await this.#run(text);
    else if (name === "ENV") {
      for (const [, key = "", value = ""] of text.matchAll(/(\w+)=(\S+)/g))
        this.environment[key] = this.here(value);
    } else if (name === "HEALTHCHECK") this.health = listOf(text.slice(text.indexOf("CMD ") + 4));
    else if (name === "ENTRYPOINT" || name === "CMD") {
      this.entry = [...this.entry, ...listOf(text).map((word) => this.here(word))];
    } else if (name === "STOPSIGNAL") assert.equal(text, "SIGTERM");
    else assert.ok(["ARG", "FROM", "USER", "EXPOSE"].includes(name), `${name} is not known here`);
  }

  async #copy(text: string): Promise<void> {
    const isStage = text.startsWith("--from=build ");
    const words = text.replace("--from=build ", "").split(" ");
    const to = words.pop() ?? ".";
    for (const from of words) {
      const source = isStage ? this.at(from) : join(checkout, from);
      if (this.#isDry) {
        assert.ok(isStage || existsSync(source), source);
        continue;
      }
      const target = to.endsWith("/") ? this.at(join(to, basename(from))) : this.at(to);
      await cp(source, target, {
        recursive: true,
        verbatimSymlinks: true,
        // As Dockerfile.dockerignore says.
        filter: (path) =>
          isStage || !/\/(node_modules|dist|build)(\/|$)/.test(path.slice(checkout.length - 1)),
      });
    }
  }

  async #run(text: string): Promise<void> {
    // Who owns a file is not for a test that may run as anybody.
    const command = this.here(text).replace(/ && chown .*$/, "");
    const env = { ...process.env, ...this.environment, NODE_ENV: "" };
    if (this.#isDry) {
      await run("sh", ["-n", "-c", command], { env });
      return;
    }
    await run("sh", ["-c", command], { cwd: this.at("."), env, maxBuffer: 2 ** 24 });
  }
}

function listOf(text: string): readonly string[] {
  return JSON.parse(text) as string[];
}

const instructions = instructionsOf(
  await readFile(join(checkout, "deploy/container/Dockerfile"), "utf8"),
);

test("the container file's steps are known here, and its health check tells a server from none", async () => {
  await using dir = await TempDir.make();
  const built = new Built(dir.path, { isDry: true });
  for (const instruction of instructions) await built.take(instruction);
  assert.ok(built.steps > 15);
  assert.deepEqual(built.entry.slice(1), [built.at("/app/dist/cli/main.js"), "serve"]);
  await using answering = await answeringServer();
  await checkHealth(built, answering.port);
});

if (isLong) {
  const isUnreachable = await run("npm", ["view", "yaml", "version", "--fetch-retries=0"]).then(
    () => false,
    () => true,
  );
  const skip = isUnreachable && "the npm registry cannot be reached";
  test(
    "the container file's steps make a folder that serves, is found healthy, and stops",
    { skip },
    real,
  );
}

async function real(): Promise<void> {
  await using dir = await TempDir.make();
  const built = new Built(dir.path, { isDry: false });
  for (const instruction of instructions) await built.take(instruction);
  const packages = await readdir(built.at("node_modules"));
  assert.ok(packages.includes("onnxruntime-node") && !packages.includes("typescript"));
  const [command = "", ...args] = built.entry;
  const port = { MILLRACE_PORT: "0", MILLRACE_INSECURE: "true", MILLRACE_TRIAL: "off" };
  const server = spawn(command, args, {
    cwd: "/",
    env: { PATH: process.env["PATH"], ...built.environment, ...port },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(server, "exit");
  try {
    const url = await readyUrl(server.stdout);
    await checkHealth(built, Number(new URL(url).port));
    const reply = await fetch(`${url}/v1/translate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"texts":["Good morning."]}',
    });
    assert.match(await reply.text(), /\p{Script=Han}/u);
  } finally {
    server.kill("SIGTERM");
  }
  assert.deepEqual(await exited, [0, null]);
}

async function checkHealth({ health }: Built, port: number): Promise<void> {
  const [check = "", ...args] = health;
  await run(check, args, { env: { ...process.env, MILLRACE_PORT: String(port) } });
  // Nobody listens there, for whoever may is no test.
  await assert.rejects(run(check, args, { env: { ...process.env, MILLRACE_PORT: "1" } }));
}

async function answeringServer(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createHttpServer((request, response) => {
    response.writeHead(request.url === "/live" ? 200 : 404).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

async function readyUrl(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    const record = JSON.parse(line) as { readonly msg: string; readonly http?: string };
    if (record.msg === "ready" && record.http !== undefined) {
      return record.http.replace("0.0.0.0", "127.0.0.1");
    }
  }
  throw new Error("the server ended before it was ready");
}
