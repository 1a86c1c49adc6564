/**
 * The same weights behind Millrace, and behind transformers.js and Fastify in the usual way; callers of one text each, through the
 * same generator. Both are up all the time and take turns: who is not asked does nothing.
 */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { StatusResponse } from "millrace-client/wire";
import { startChild } from "../../harness/child.js";
import { atLeast, ratios, type Target, under } from "../../harness/report.js";
import type { MadeModel } from "../../tasks/settings.js";
import { generateLoad, type Load, type LoadSpec, writeBodies } from "../load.js";
import { serve } from "../serve.js";
import type { ModelSettings } from "../settings.js";
import { cosineOf } from "./cosine.js";
import { openPeers } from "./install-peers.js";
import { writePlainGraph } from "./plain-graph.js";

/** How much more than the usual way, by shape: in float32, and each side in its fastest form. */
const targets: Readonly<Record<string, readonly [f32: number, int8: number]>> = {
  "MiniLM-L6": [1.5, 2],
  "BERT-base": [1.2, 2],
};
const dtypes = { f32: "fp32", int8: "q8" } as const;
const graphNames = { f32: "model.onnx", int8: "model_quantized.onnx" } as const;

export async function benchPeers(model: MadeModel, settings: ModelSettings): Promise<void> {
  const { report, parent, rounds, ms, callers, texts, sourceDir } = settings;
  const script = await openPeers({ ...settings.peers, say: (line) => report.say(line) });
  if (script === null) return;
  const models = join(parent, "peer-models");
  await writePeerModel(models, model, sourceDir);
  await using own = await serve({ ...settings.serving, models: model.dir });
  await using peer = startChild(pathToFileURL(script), [
    models,
    model.shape.name,
    dtypes[model.precision],
  ]);
  const peerUrl = await peer.line();
  const title = `${model.shape.name} ${model.precision}`;
  report.say(`${title}: ${await layoutOf(own.url)}`);
  const cosine = await leastCosine(texts.slice(0, 8), { own: own.url, peer: peerUrl });
  report.say(`${title}: least cosine between both sides' vectors ${cosine.toFixed(6)}`);
  // Of int8 each side has its own; in float32 it is the same arithmetic, or the comparison is worth nothing.
  if (model.precision === "f32" && !(cosine > 0.999)) throw new Error("both sides do not agree");
  const common = { itemsOfBody: 1, callers, warmMs: Math.min(2_000, ms / 2), ms };
  const sides: { readonly spec: LoadSpec; readonly loads: Load[] }[] = [
    {
      spec: {
        ...common,
        url: own.url,
        path: "/v1/embed",
        healthPath: "/live",
        bodiesFile: await writeBodies(
          join(parent, "own.jsonl"),
          texts.map((text) => ({ texts: [text] })),
        ),
      },
      loads: [],
    },
    {
      spec: {
        ...common,
        url: peerUrl,
        path: "/embed",
        healthPath: "/health",
        bodiesFile: await writeBodies(
          join(parent, "peer.jsonl"),
          texts.map((text) => ({ text })),
        ),
      },
      loads: [],
    },
  ];
  for (let round = 0; round < rounds; round += 1) {
    for (const { spec, loads } of sides) loads.push(await generateLoad(spec));
  }
  reportSides(title, sides[0]?.loads ?? [], {
    peer: sides[1]?.loads ?? [],
    settings,
    target: targetOf(model),
  });
}

/** What the trial found, or what the flags say. */
async function layoutOf(url: string): Promise<string> {
  const { pipelines } = (await (await fetch(`${url}/status`)).json()) as StatusResponse;
  return `pipelines ${pipelines.length}`;
}

function targetOf({ shape, precision }: MadeModel): number | null {
  const [f32 = null, int8 = null] = targets[shape.name] ?? [];
  return precision === "f32" ? f32 : int8;
}

function reportSides(
  title: string,
  own: readonly Load[],
  {
    peer,
    settings: { report, callers },
    target,
  }: {
    readonly peer: readonly Load[];
    readonly settings: ModelSettings;
    readonly target: number | null;
  },
): void {
  const at = `${title}, ${callers} callers`;
  const both = (what: string, unit: string, read: (load: Load) => number): void => {
    report.add(`${at}: Millrace, ${what}`, own.map(read), { unit });
    report.add(`${at}: transformers.js + Fastify, ${what}`, peer.map(read), { unit });
  };
  const ratio = (what: string, read: (load: Load) => number, wanted: Target | null): void =>
    report.add(`${at}: ${what}, Millrace / usual way`, ratios(own.map(read), peer.map(read)), {
      target: wanted,
    });
  both("texts", "texts/s", ({ perSecond }) => perSecond);
  both("p99", "ms", ({ p99Ms }) => p99Ms);
  both("health check p99", "ms", ({ health }) => health.p99Ms);
  ratio("texts/s", ({ perSecond }) => perSecond, target === null ? null : atLeast(target));
  ratio("p99", ({ p99Ms }) => p99Ms, target === null ? null : under(1 / target));
  ratio("health check p99", ({ health }) => health.p99Ms, null);
}

/** In the layout that transformers.js looks for. */
async function writePeerModel(models: string, model: MadeModel, sourceDir: string): Promise<void> {
  const { shape, precision, dir, manifest } = model;
  const to = join(models, shape.name);
  await mkdir(join(to, "onnx"), { recursive: true });
  await copyFile(join(sourceDir, "config.json"), join(to, "config.json"));
  await copyFile(join(dir, manifest.files.tokenizer), join(to, "tokenizer.json"));
  const tokenizer = { tokenizer_class: "BertTokenizer", model_max_length: 512 };
  await writeFile(join(to, "tokenizer_config.json"), JSON.stringify(tokenizer));
  await writePlainGraph(join(to, "onnx", graphNames[precision]), { sourceDir, shape, precision });
}

async function leastCosine(
  texts: readonly string[],
  { own, peer }: { readonly own: string; readonly peer: string },
): Promise<number> {
  const post = async (url: string, body: object): Promise<unknown> => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    return await response.json();
  };
  const { results } = (await post(`${own}/v1/embed`, { texts })) as {
    readonly results: readonly { readonly embedding: readonly number[] }[];
  };
  let least = 1;
  for (const [index, text] of texts.entries()) {
    const { embedding } = (await post(`${peer}/embed`, { text })) as {
      readonly embedding: readonly number[];
    };
    least = Math.min(least, cosineOf(results[index]?.embedding ?? [], embedding));
  }
  return least;
}
