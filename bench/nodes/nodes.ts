/**
 * `npm run bench -- nodes`: an edge and nodes on one NATS, each a process, each node in a network of its own. Their workers take the
 * recorded times of a model's runs and no processor, so that two cores hold four machines.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { NatsServer, skipWithoutNats } from "../../test/support/nats-server.js";
import { TempDir } from "../../test/support/temp-dir.js";
import { freePorts } from "../clients/serve.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, countOf, usual } from "../harness/flags.js";
import { makeTimedModels } from "../timed/timed-models.js";
import { benchHop } from "./hop.js";
import { isInside, openNetwork, runInside, whyNoNamespaces } from "./network.js";
import { benchRealModel } from "./real-model.js";
import { benchScaling } from "./scaling.js";
import type { NodesSettings } from "./settings.js";
import { benchNodesStorm } from "./storm.js";

const usage = `npm run bench -- nodes [flags]
  --parts LIST     of bulk, large, jobs, realtime, hop, model, storm (default: all)
  --network NAME   namespaces, or proxies between nodes and NATS (default: namespaces where this machine has them)
  --lines N        sentences of a bulk measurement, for each node (default: 5000)
  --rate N         realtime requests a second, for each node (default: 60)
  --rounds N       (default: 5)
  --measure N      seconds of one measurement (default: 8)
  --seconds N      of the storm (default: 600)
  --every N        seconds between two faults of the storm, about (default: 3)
  --lasts N        seconds that a fault lasts at most (default: 8)
  --nodes N        of the storm (default: 3)
  --job-lines N    of each job of the storm (default: 2000)
  --factor N       of the recorded times of a model's runs (default: 2)
  --seed N         (default: 1)
  --json FILE      the figures as JSON`;

const flags = {
  parts: { type: "string", default: "bulk,large,jobs,realtime,hop,model,storm" },
  network: { type: "string" },
  lines: { type: "string", default: "5000" },
  rate: { type: "string", default: "60" },
  rounds: usual.rounds,
  measure: { type: "string", default: "8" },
  seconds: { type: "string", default: "600" },
  every: { type: "string", default: "3" },
  lasts: { type: "string", default: "8" },
  nodes: { type: "string", default: "3" },
  "job-lines": { type: "string", default: "2000" },
  factor: { type: "string", default: "2" },
  seed: usual.seed,
  json: usual.json,
  help: usual.help,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  if (skipWithoutNats !== false) return console.log(`nodes: left out, ${skipWithoutNats}`);
  const wanted = values.network ?? "namespaces";
  const whyNot = wanted === "namespaces" && !isInside ? whyNoNamespaces() : null;
  if (whyNot !== null && values.network !== undefined) throw new Error(whyNot);
  if (whyNot === null && wanted === "namespaces" && !isInside) {
    process.exitCode = runInside(args);
    return;
  }
  const kind = whyNot === null && wanted === "namespaces" ? "namespaces" : "proxies";
  const { report, machine } = beginReport();
  report.say(`network: ${kind}${whyNot === null ? "" : ` (${whyNot})`}`);
  await using temp = await TempDir.make();
  const parent = temp.path;
  await using network = await openNetwork(kind);
  const [monitorPort = 0] = await freePorts(1);
  await using nats = await NatsServer.start({
    host: network.natsHost,
    config: `http: "127.0.0.1:${monitorPort}"`,
  });
  const settings: NodesSettings = {
    report,
    parent,
    network,
    nats,
    timedModels: await makeTimedModels(join(parent, "models")),
    natsMonitorUrl: `http://127.0.0.1:${monitorPort}`,
    rounds: countOf("rounds", values.rounds),
    ms: 1_000 * amountOf("measure", values.measure),
    lines: countOf("lines", values.lines),
    rate: amountOf("rate", values.rate),
    seed: countOf("seed", values.seed, 0),
    factor: amountOf("factor", values.factor),
  };
  const parts = new Set(values.parts.split(","));
  const scaling = {
    bulk: parts.has("bulk"),
    large: parts.has("large"),
    jobs: parts.has("jobs"),
    realtime: parts.has("realtime"),
  };
  if (Object.values(scaling).some(Boolean)) await benchScaling(settings, scaling);
  if (parts.has("hop")) await benchHop(settings);
  if (parts.has("model")) await benchRealModel(settings);
  if (parts.has("storm")) {
    await benchNodesStorm(settings, {
      nodes: countOf("nodes", values.nodes),
      ms: 1_000 * amountOf("seconds", values.seconds),
      everyMs: 1_000 * amountOf("every", values.every),
      lastsMsMax: 1_000 * amountOf("lasts", values.lasts),
      jobLines: countOf("job-lines", values["job-lines"]),
    });
  }
  await finish(report, { machine, facts: { settings: values }, jsonFile: values.json });
}
