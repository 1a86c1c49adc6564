/**
 * A dozen models of which three fit: what the first answer of one that is on disk takes, over what it must take at least (its
 * session made, in a process that is warm), and what an answer of one that is loaded takes.
 */
import { cp, link, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createServer, type MillraceServer } from "#src/index.js";
import { expectedBytes } from "#src/models/folder-bytes.js";
import { Session } from "#src/runtime/session.js";
import { quantiles } from "../harness/quantiles.js";
import { type Report, ratios } from "../harness/report.js";
import { oneByOne } from "./callers.js";
import type { MadeModel, TasksSettings } from "./settings.js";

const models = 12;
const fitting = 3;

export async function benchSwitching(
  report: Report,
  model: MadeModel,
  {
    parent,
    rounds,
    threads,
    singles,
    text,
  }: Pick<TasksSettings, "rounds" | "threads" | "singles"> & {
    readonly parent: string;
    readonly text: string;
  },
): Promise<void> {
  const { dir, manifest, shape, precision } = model;
  const modelsDir = join(parent, "dozen");
  for (let index = 0; index < models; index += 1) await copyModel(model, modelsDir, index);
  const graph = join(dir, manifest.files.encoder);
  const sharing = { pipelines: 1, weightsCacheBytesMax: 2 ** 40 };
  const { bytes } = await expectedBytes({ dir, manifest }, sharing);
  const modelMemoryBytes = Math.ceil(fitting * 1.1 * bytes);
  await using server = await createServer({
    models: modelsDir,
    port: 0,
    pipelines: 1,
    threads,
    preload: "none",
    modelMemoryBytes,
    cacheDir: join(parent, "cache"),
    logLevel: "silent",
  });
  // The first round fills the cache of packed weights.
  const switches: number[] = [];
  const least: number[] = [];
  let mostLoaded = 0;
  for (let round = 0; round < rounds + 1; round += 1) {
    for (let index = 0; index < models; index += 1) {
      const loaded = await loadedModels(server);
      mostLoaded = Math.max(mostLoaded, loaded.size);
      const [ms = 0] = await oneByOne(server, { text, model: nameOf(index) }, 1);
      if (round === 0 || loaded.has(nameOf(index))) continue;
      switches.push(ms);
      // In turns, so that both are measured on the same machine, whatever else it does.
      least.push(await openOnce(graph, threads));
    }
  }
  const resident = quantiles(await oneByOne(server, { text, model: nameOf(models - 1) }, singles));
  const title = `${shape.name} ${precision}, ${models} models of which ${fitting} fit`;
  report.say("");
  report.add(`${title}: a session made`, least, { unit: "ms" });
  report.add(`${title}: first answer`, switches, { unit: "ms" });
  report.add(`${title}: first answer / session`, ratios(switches, least));
  report.say(`${title}: most models loaded at once ${mostLoaded}`);
  report.say(
    `${title}: loaded, p50 ${resident.p50Ms.toFixed(1)} ms, p99 ${resident.p99Ms.toFixed(1)} ms`,
  );
}

/** Milliseconds of what a load cannot do without. */
async function openOnce(graph: string, threads: number): Promise<number> {
  const startedAtMs = performance.now();
  const session = await Session.open(graph, { threads, spin: false });
  const ms = performance.now() - startedAtMs;
  session.release();
  return ms;
}

async function loadedModels(server: MillraceServer): Promise<ReadonlySet<string>> {
  const { models: list } = (await (await fetch(`${server.url}/v1/models`)).json()) as {
    readonly models: readonly { readonly name: string; readonly state: string }[];
  };
  return new Set(list.filter(({ state }) => state === "resident").map(({ name }) => name));
}

function nameOf(index: number): string {
  return `model-${String(index + 1).padStart(2, "0")}`;
}

/** The same files under another name. */
async function copyModel({ dir, manifest }: MadeModel, to: string, index: number): Promise<void> {
  const name = nameOf(index);
  const target = join(to, name);
  await mkdir(target, { recursive: true });
  for (const file of Object.keys(manifest.fileSha256)) {
    // A link costs nothing; where there is none between the folders, a copy does.
    await link(join(dir, file), join(target, file)).catch(() =>
      cp(join(dir, file), join(target, file)),
    );
  }
  const own = JSON.parse(await readFile(join(dir, "millrace.json"), "utf8")) as object;
  await writeFile(join(target, "millrace.json"), JSON.stringify({ ...own, name }));
}
