/** The bundled model on two nodes against the same on one server: the same texts, and each byte of their results. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { under } from "../harness/report.js";
import { ServerTree } from "../harness/server-tree.js";
import { askBulk, type BulkRun } from "./callers.js";
import { Deployment } from "./deployment.js";
import type { NodesSettings } from "./settings.js";

const models = fileURLToPath(new URL("../../../models", import.meta.url));
const textsFile = join(models, "calibration.en.txt");

export async function benchRealModel(settings: NodesSettings): Promise<void> {
  const { report, lines } = settings;
  const known = readFileSync(textsFile, "utf8").trimEnd().split("\n");
  const texts = Array.from({ length: lines }, (_, at) => known[at % known.length] ?? "");
  const alone = await onOneServer(settings, texts);
  await using deployment = await Deployment.start(settings, {
    prefix: "real",
    nodes: 2,
    workers: "real",
  });
  const together = await askBulk(deployment.url, texts, 2);
  const different = texts.filter((_, at) => alone.texts[at] !== together.texts[at]).length;
  const ran = Object.entries(together.pipelines).map(([id, items]) => `${id} ${items}`);
  report.say(
    `the bundled model, ${lines} texts: results ${alone.hash} of one server, ${together.hash} of two nodes`,
  );
  report.say(`pipelines that ran them: ${ran.join(", ")}`);
  report.add("texts whose results differ", [different], { target: under(1) });
  if (ran.length < 2) throw new Error(`one node had all of the work: ${ran.join(", ")}`);
  if (different > 0) throw new Error(`${different} of ${lines} texts differ`);
}

async function onOneServer({ parent }: NodesSettings, texts: readonly string[]): Promise<BulkRun> {
  await using server = await ServerTree.start({
    name: "alone",
    script: "real",
    flags: {
      models,
      port: 0,
      pipelines: 1,
      threads: 1,
      "cache-dir": join(parent, "cache"),
    },
  });
  return await askBulk(await server.ready(), texts, 1);
}
