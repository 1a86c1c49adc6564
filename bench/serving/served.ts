/** The servers of an experiment, all up at once: whoever is not asked does nothing, and the variants can take turns. */
import { join } from "node:path";
import { workClasses } from "millrace-client/wire";
import { TempDir } from "../../test/support/temp-dir.js";
import { ServerTree } from "../harness/server-tree.js";
import { threadsOf } from "./layouts.js";
import type { Experiment, Run, Variant } from "./settings.js";
import { type Call, runWave, type Wave } from "./wave.js";

export interface Served {
  readonly variant: Variant;
  readonly url: string;
  /** Of the front, which is the group's leader. */
  readonly pid: number;
  readonly ask: (calls: readonly Call[]) => Promise<Wave>;
}

/** Sentences of one warming request: below the bulk threshold. */
const warmSentences = 100;

/**
 * Starts `millrace serve` for each variant and warms it: every different line of `lines` is translated by each, once at least, which is
 * also the first look whether they give the same.
 */
export async function withServers(
  experiment: Experiment,
  lines: readonly string[],
  action: (servers: readonly Served[]) => Promise<void>,
): Promise<void> {
  await using temp = await TempDir.make();
  const parent = temp.path;
  const trees: ServerTree[] = [];
  try {
    const servers: Served[] = [];
    for (const variant of experiment.variants) {
      const tree = await start(experiment, variant, join(parent, "cache"));
      trees.push(tree);
      servers.push(await servedBy(experiment, variant, tree));
    }
    await warm(experiment, servers, lines);
    await action(servers);
  } finally {
    await Promise.all(trees.map((tree) => tree.kill()));
  }
}

async function start(
  { modelDir, threads }: Experiment,
  { name, layout, policy }: Variant,
  cacheDir: string,
): Promise<ServerTree> {
  const own = { models: modelDir, port: 0, "cache-dir": cacheDir, policy };
  const flags = { ...own, threads: threads ?? threadsOf(layout), ...layout.flags };
  return await ServerTree.start({ name, script: "real", flags });
}

async function servedBy(
  { outputs }: Experiment,
  variant: Variant,
  tree: ServerTree,
): Promise<Served> {
  const url = await tree.ready();
  const { name } = variant;
  const ask = async (calls: readonly Call[]) => await runWave({ url, name, calls, outputs });
  return { variant, url, pid: tree.pid, ask };
}

async function warm(
  experiment: Experiment,
  servers: readonly Served[],
  lines: readonly string[],
): Promise<void> {
  for (const { ask, variant } of servers) await warmServer(experiment, { ...variant, ask }, lines);
}

/** Every different line once at least, in both classes. */
export async function warmServer(
  { report, outputs, fields, warmMs }: Run,
  { name, ask }: { readonly name: string; readonly ask: Served["ask"] },
  lines: readonly string[],
): Promise<void> {
  const different = [...new Set(lines)];
  const until = performance.now() + warmMs;
  do {
    for (let from = 0; from < different.length; from += warmSentences) {
      const texts = different.slice(from, from + warmSentences);
      // Dedicated pipelines are warmed by their own class only.
      await ask(
        workClasses.map((each) => ({ dueMs: 0, texts, fields: { ...fields, class: each } })),
      );
    }
  } while (performance.now() < until);
  report.say(`outputs of ${different.length} sentences by ${name}: ${outputs.hash}`);
}
