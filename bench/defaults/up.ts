/** A server of a configuration: the default one, whose trial has ended before it is ready, or a fixed one. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { type LogRecord, type ServeFlags, ServerTree, textOf } from "../harness/server-tree.js";
import { warmServer } from "../serving/served.js";
import type { Run } from "../serving/settings.js";
import { type Call, runWave, type Wave } from "../serving/wave.js";
import type { Fixed } from "./fixed.js";

export interface Up extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly ask: (calls: readonly Call[]) => Promise<Wave>;
}

export interface Place {
  readonly run: Run;
  readonly lines: readonly string[];
  /** For what can be made again; the default one has a fresh cache in it, for no trial was ever made there. */
  readonly dir: string;
}

/** What the server says of itself as it starts. */
export interface Chosen {
  /** As the fixed ones are written. */
  readonly layout: string;
  /** In words. */
  readonly how: string;
}

export async function startDefault(
  place: Place,
): Promise<{ readonly up: Up; readonly chosen: Chosen }> {
  const records: LogRecord[] = [];
  const cacheDir = await mkdtemp(join(place.dir, "fresh-"));
  const up = await start(place, {
    name: "default",
    flags: { trial: "auto", "cache-dir": cacheDir },
    onRecord: (record) => records.push(record),
  });
  return { up, chosen: chosenOf(records) };
}

export async function startFixed(place: Place, { name, flags }: Fixed): Promise<Up> {
  return await start(place, { name, flags: { ...flags, "cache-dir": join(place.dir, "cache") } });
}

async function start(
  { run, lines }: Place,
  spec: {
    readonly name: string;
    readonly flags: ServeFlags;
    readonly onRecord?: (record: LogRecord) => void;
  },
): Promise<Up> {
  const { name, flags } = spec;
  const own = { models: run.modelDir, port: 0 };
  const tree = await ServerTree.start({ ...spec, script: "real", flags: { ...own, ...flags } });
  try {
    const url = await tree.ready();
    const { outputs } = run;
    const ask = async (calls: readonly Call[]) => await runWave({ url, name, calls, outputs });
    await warmServer(run, { name, ask }, lines);
    return { name, url, ask, [Symbol.asyncDispose]: async () => await tree.kill() };
  } catch (error) {
    await tree.kill();
    throw error;
  }
}

function chosenOf(records: readonly LogRecord[]): Chosen {
  const of = (msg: string) => records.find((record) => record.msg === msg);
  const { pipelines, threads } = of("starting") ?? {};
  const measured = of("measured");
  const why = records.map(({ msg }) => msg ?? "").filter((msg) => msg.includes("measur"));
  return {
    layout: `${String(pipelines)}x${String(threads)}`,
    how:
      measured === undefined
        ? `without a trial: ${why.join("; ") || "there was nothing to choose"}`
        : `by its trial: ${textOf(measured, "measured")}`,
  };
}
