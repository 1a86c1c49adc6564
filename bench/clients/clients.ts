/**
 * `npm run bench -- clients`: what it costs to speak the clients' protocols, and what a caller gains beside the usual way to serve a
 * model. Models have made weights; sides take turns in one run, and figures are medians with the least and the most.
 */
import { rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TempDir } from "../../test/support/temp-dir.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, countOf, usual } from "../harness/flags.js";
import { makeModels } from "../tasks/make-models.js";
import { shapes } from "../tasks/shapes.js";
import { madeTexts } from "../tasks/texts.js";
import { benchBertWire } from "./bert-wire.js";
import { benchFrontAlone } from "./front-alone.js";
import { benchFronts } from "./fronts.js";
import { benchPeers } from "./peers/peers.js";
import type { ClientsSettings, ModelSettings } from "./settings.js";

const cacheHome = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");

const usage = `npm run bench -- clients [flags]
  --parts LIST     of front, fronts, peers, bert (default: all)
  --shapes LIST    of minilm, bert-base, tiny (default: the first two)
  --precisions LIST  of f32, int8 (default: both)
  --texts N        texts a round (default: 512)
  --tokens N       of the longest text (default: 128)
  --rounds N       (default: 5)
  --seconds N      of one measurement (default: 8)
  --callers N      (default: 64)
  --clients N      of bert-as-service that connect anew (default: 1000)
  --pipelines N    (default: the server's own choice)
  --threads N      of a pipeline (default: the server's own choice)
  --peers DIR      where transformers.js and Fastify are (default: a folder of the cache)
  --install-peers  puts them there
  --profile DIR    servers without a model write CPU profiles there
  --json FILE      the figures as JSON`;

const flags = {
  parts: { type: "string", default: "front,fronts,peers,bert" },
  shapes: { type: "string", default: "minilm,bert-base" },
  precisions: { type: "string", default: "f32,int8" },
  texts: { type: "string", default: "512" },
  tokens: { type: "string", default: "128" },
  rounds: usual.rounds,
  seconds: { type: "string", default: "8" },
  callers: { type: "string", default: "64" },
  clients: { type: "string", default: "1000" },
  pipelines: { type: "string" },
  threads: { type: "string" },
  peers: { type: "string", default: join(cacheHome, "millrace-bench", "peers") },
  "install-peers": { type: "boolean", default: false },
  profile: { type: "string" },
  json: usual.json,
  help: usual.help,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const parts = new Set(values.parts.split(","));
  const { report, machine } = beginReport();
  await using temp = await TempDir.make();
  const parent = temp.path;
  const settings: ClientsSettings = {
    report,
    parent,
    rounds: countOf("rounds", values.rounds),
    ms: 1_000 * amountOf("seconds", values.seconds),
    callers: countOf("callers", values.callers),
    profileDir: values.profile ?? null,
  };
  const isLayoutOpen = values.pipelines === undefined && values.threads === undefined;
  const ofModels = {
    ...settings,
    serving: {
      // What it finds out about the machine at its first start is kept for the next.
      cacheDir: join(parent, "cache"),
      // As `millrace serve` does, unless the layout is said here.
      trial: isLayoutOpen ? ("auto" as const) : ("off" as const),
      ...(values.pipelines === undefined
        ? {}
        : { pipelines: countOf("pipelines", values.pipelines) }),
      ...(values.threads === undefined ? {} : { threads: countOf("threads", values.threads, 0) }),
    },
    peers: { dir: values.peers, install: values["install-peers"] },
  };
  if (parts.has("front")) await benchFrontAlone(settings);
  const texts = { count: countOf("texts", values.texts), most: countOf("tokens", values.tokens) };
  const precisions = new Set(values.precisions.split(","));
  for (const name of values.shapes.split(",").filter((each) => each !== "")) {
    if (["fronts", "peers", "bert"].some((part) => parts.has(part))) {
      await benchShape(name, {
        parts,
        texts,
        precisions,
        clients: countOf("clients", values.clients),
        settings: ofModels,
      });
    }
  }
  await finish(report, { machine, facts: { settings: values }, jsonFile: values.json });
}

interface ShapeRun {
  readonly parts: ReadonlySet<string>;
  readonly precisions: ReadonlySet<string>;
  /** Fresh ones of bert-as-service. */
  readonly clients: number;
  readonly texts: { readonly count: number; readonly most: number };
  readonly settings: Omit<ModelSettings, "texts" | "sourceDir">;
}

async function benchShape(name: string, run: ShapeRun): Promise<void> {
  const { parts, precisions, texts, settings } = run;
  const shape = shapes[name];
  if (shape === undefined) throw new Error(`there is no shape ${name}\n${usage}`);
  const { report, parent } = settings;
  report.say(`${shape.name}: ${texts.count} texts of 5 to ${texts.most} tokens`);
  const models = await makeModels(parent, shape);
  const own: ModelSettings = {
    ...settings,
    texts: madeTexts(shape, texts.count, { least: 5, most: texts.most, seed: 1 }),
    sourceDir: join(parent, shape.name, "source"),
  };
  for (const model of models.filter(({ precision }) => precisions.has(precision))) {
    if (parts.has("fronts")) await benchFronts(model, own);
    if (parts.has("peers")) await benchPeers(model, own);
    if (parts.has("bert")) await benchBertWire(model, { ...own, clients: run.clients });
  }
  await rm(join(parent, shape.name), { recursive: true });
}
