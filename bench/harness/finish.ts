/** What is left of a benchmark when it has ended: its figures as JSON, its plots as drawings. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "./machine.js";
import { drawPlot, type Plot } from "./plot.js";
import type { Report } from "./report.js";

interface Finish {
  readonly machine: Machine;
  /** Of what the figures are, beside the machine: settings, model, hashes of the outputs. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly jsonFile: string | undefined;
  readonly plotDir?: string | undefined;
}

/** Only of a run that came to its end: half of the figures would look like all of them. */
export async function finish(
  report: Report,
  { machine, facts, jsonFile, plotDir }: Finish,
): Promise<void> {
  const json = report.json(machine, facts);
  if (jsonFile !== undefined) await writeFile(jsonFile, json);
  if (plotDir !== undefined) await writePlots(json, plotDir, (line) => report.say(line));
}

/** `npm run bench -- plots DIR FILE…`: draws the plots of figures that were kept, again. */
export async function run(args: readonly string[]): Promise<void> {
  const [dir, ...files] = args;
  if (dir === undefined || dir === "--help" || files.length === 0) {
    console.log("npm run bench -- plots DIR FILE...   draws what is in files of --json into DIR");
    return;
  }
  for (const file of files) {
    await writePlots(await readFile(file, "utf8"), dir, (line) => console.log(line));
  }
}

async function writePlots(json: string, dir: string, say: (line: string) => void): Promise<void> {
  const { plots } = JSON.parse(json) as { readonly plots: readonly Plot[] };
  await mkdir(dir, { recursive: true });
  for (const plot of plots) {
    const path = join(dir, `${plot.name}.svg`);
    await writeFile(path, drawPlot(plot));
    say(`drawn: ${path}`);
  }
}
