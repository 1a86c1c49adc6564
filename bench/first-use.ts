/**
 * `npm run bench -- first-use`: the first minutes of somebody who has nothing but Node and npm, by the clock: the package installed in an
 * empty folder, and then each command as the guides have it.
 */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { Millrace } from "millrace-client";
import { ServeProcess } from "../test/support/serve-process.js";
import { TempDir } from "../test/support/temp-dir.js";
import { beginReport } from "./harness/begin-report.js";
import { finish } from "./harness/finish.js";
import { countOf, usual } from "./harness/flags.js";
import { root } from "./serving/lines.js";

const execute = promisify(execFile);

const usage = `npm run bench -- first-use [flags]
By the clock, from an empty folder: installed, a first translation, a first own model, served, a first picture read, a first diagnosis. The
package is the one of this checkout; what it depends on comes from the npm registry, into a cache that is empty.
  --source DIR   Marian folder of the own model (default: ${usual.source.default})
  --ocr DIR      folder of a detector, a recogniser and its keys (default: ../shared/models/ocr)
  --picture FILE (default: ../shared/data/images/ocr/en.jpg)
  --for TIME     how long the doctor looks (default: 30s, as the command's own)
  --rounds N     each from nothing (default: 1)
  --json FILE    the figures as JSON`;

const flags = {
  source: usual.source,
  ocr: { type: "string", default: "../shared/models/ocr" },
  picture: { type: "string", default: "../shared/data/images/ocr/en.jpg" },
  for: { type: "string", default: "30s" },
  rounds: { type: "string", default: "1" },
  json: usual.json,
  help: usual.help,
} as const;

/** What somebody has, beside Node and npm. */
interface Brought {
  readonly tarballs: readonly string[];
  readonly source: string;
  readonly ocr: { readonly detector: string; readonly recogniser: string; readonly keys: string };
  readonly picture: string;
  readonly doctorFor: string;
}

interface Step {
  readonly name: string;
  readonly seconds: number;
  /** Since nothing was there. */
  readonly clockSeconds: number;
  /** The first line that came of it. */
  readonly said: string;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const rounds = countOf("rounds", values.rounds);
  const { report, machine } = beginReport("first-use");
  await using dir = await TempDir.make();
  const pack = ["pack", "--ignore-scripts", "--pack-destination", dir.path];
  await execute("npm", [...pack, "-w", "client", "--include-workspace-root"], { cwd: root });
  const tarballs = (await readdir(dir.path)).map((name) => dir.file(name));
  const brought: Brought = {
    tarballs,
    source: resolve(root, values.source),
    ocr: await ocrFilesIn(resolve(root, values.ocr)),
    picture: resolve(root, values.picture),
    doctorFor: values.for,
  };
  const all: (readonly Step[])[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await using home = await TempDir.make();
    all.push(await new FirstUse(home.path, brought).steps());
  }
  report.table({
    title: "from nothing, by the clock",
    columns: ["step", "seconds", "since the beginning, seconds", "what came of it"],
    rows: (all[0] ?? []).map(({ name, said }, at) => [
      name,
      all.map((steps) => steps[at]?.seconds ?? Number.NaN),
      all.map((steps) => steps[at]?.clockSeconds ?? Number.NaN),
      said,
    ]),
  });
  await finish(report, { machine, facts: { ...values }, jsonFile: values.json });
}

/** @throws where one is not there, or is there twice */
async function ocrFilesIn(dir: string): Promise<Brought["ocr"]> {
  const files = await readdir(dir);
  const only = (pattern: RegExp): string => {
    const [file, ...others] = files.filter((name) => pattern.test(name));
    if (file !== undefined && others.length === 0) return join(dir, file);
    throw new Error(`--ocr: ${dir} has not one file of the form ${pattern}`);
  };
  return { detector: only(/det\.onnx$/), recogniser: only(/rec\.onnx$/), keys: only(/\.txt$/) };
}

/** One beginner, in a home of his own: what npm and Millrace keep is not there yet. */
class FirstUse {
  readonly #home: string;
  readonly #brought: Brought;
  readonly #env: NodeJS.ProcessEnv;
  readonly #steps: Step[] = [];
  readonly #beganMs = performance.now();

  constructor(home: string, brought: Brought) {
    this.#home = home;
    this.#brought = brought;
    const { MILLRACE_URL: _url, MILLRACE_CONFIG: _file, ...env } = process.env;
    this.#env = {
      ...env,
      HOME: home,
      XDG_CACHE_HOME: join(home, ".cache"),
      npm_config_cache: join(home, ".npm"),
      npm_config_update_notifier: "false",
      // Until a server is up, nobody listens at the port where one is looked for.
      MILLRACE_PORT: "1",
    };
  }

  async steps(): Promise<readonly Step[]> {
    const { source, ocr, picture, tarballs, doctorFor } = this.#brought;
    const install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...tarballs];
    await this.#step("installed", () => this.#run("npm", install));
    await this.#step("a first translation", () => this.#millrace("translate", "Good morning."));
    await this.#step("a model of one's own: converted, and one sentence", async () => {
      await this.#millrace("convert", source, "--out", "my-models/own");
      return await this.#millrace("translate", "--models", "my-models", "Good morning.");
    });
    const serve = join(this.#home, "node_modules", "millrace", "dist", "cli", "main.js");
    const at = { path: serve, cwd: this.#home, env: this.#env };
    let server: ServeProcess | null = null;
    try {
      await this.#step("served: its trial, and a first reply", async () => {
        server = new ServeProcess(at, "--models", "my-models", "--trial", "auto");
        this.#env["MILLRACE_URL"] = await server.url();
        return await this.#millrace("translate", "Good morning.");
      });
      const graphs = ["--detector", ocr.detector, "--recogniser", ocr.recogniser];
      await this.#step("a first picture read, by the same server", async () => {
        const words = ["--task", "ocr", ...graphs, "--keys", ocr.keys, "--out", "my-models/pages"];
        await this.#millrace("convert", ...words);
        await this.#run("curl", ["-sfX", "POST", `${this.#env["MILLRACE_URL"]}/v1/models/reload`]);
        return await this.#millrace("ocr", picture);
      });
      const diagnose = () => this.#millrace("doctor", "--for", doctorFor);
      await this.#step("a first diagnosis", () => this.#whileOneCalls(diagnose));
    } finally {
      await (server as ServeProcess | null)?.[Symbol.asyncDispose]();
    }
    return this.#steps;
  }

  async #step(name: string, done: () => Promise<string>): Promise<void> {
    const startedMs = performance.now();
    const out = await done();
    const nowMs = performance.now();
    const [said = ""] = out.trim().split("\n");
    if (said === "") throw new Error(`${name}: nothing came of it`);
    this.#steps.push({
      name,
      said: said.length > 60 ? `${said.slice(0, 59)}…` : said,
      seconds: (nowMs - startedMs) / 1_000,
      clockSeconds: (nowMs - this.#beganMs) / 1_000,
    });
  }

  /** So that there is something to find: one caller, one sentence at a time. */
  async #whileOneCalls(done: () => Promise<string>): Promise<string> {
    await using client = new Millrace(this.#env["MILLRACE_URL"] ?? "");
    let isOver = false;
    const calling = (async () => {
      while (!isOver) await client.translate(["The train is late."], { model: "own" });
    })();
    const out = await done().finally(() => {
      isOver = true;
    });
    await calling;
    return out;
  }

  #millrace(...words: readonly string[]): Promise<string> {
    return this.#run("npx", ["millrace", ...words]);
  }

  async #run(command: string, words: readonly string[]): Promise<string> {
    const at = { cwd: this.#home, env: this.#env };
    return await execute(command, words, at).then(
      ({ stdout }) => stdout,
      (error: Error & { readonly code: number; readonly stdout: string }) => {
        // The doctor's, where it has found something.
        if (words.includes("doctor") && error.code === 11) return error.stdout;
        throw error;
      },
    );
  }
}
