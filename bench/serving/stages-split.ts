/**
 * Encoder and decoder in one process or in two. Millrace has them in one; what two would cost is reckoned from what is measured: the time of
 * each stage in its runs, and what it takes to send to another process what the decoder needs of the encoder.
 */
import { setTimeout as delay } from "node:timers/promises";
import { readGeneration } from "../../test/support/read-generation.js";
import type { Served } from "./served.js";
import { batchesOf, type StagesBench } from "./stages-tokens.js";
import { sendToChild, type Transfer } from "./transfer.js";

interface Stage {
  readonly ms: number;
  readonly runs: number;
  readonly paddedTokens: number;
}

interface Measured {
  /** Ms of one pipeline for a sentence. */
  readonly encodeMs: number;
  readonly decodeMs: number;
  readonly send: Transfer;
  /** Between the processes, for a sentence. */
  readonly bytes: number;
}

export async function benchSplit(bench: StagesBench): Promise<void> {
  const { experiment, server, count } = bench;
  const { shape, name } = await readGeneration(experiment.modelDir);
  // Keys and values of the cross-attention, in float32: what the encoder's graph gives, and the decoder's takes.
  const tokenBytes = shape.decoderLayers * 2 * shape.width * 4;
  const rounds: Measured[] = [];
  for (let round = 0; round < experiment.rounds; round += 1) {
    const before = await restingStages(server, name);
    await server.ask(batchesOf(bench, null));
    const after = await restingStages(server, name);
    const encode = difference(after.encode, before.encode);
    const decode = difference(after.decode, before.decode);
    const bytes = Math.round((encode.paddedTokens * tokenBytes) / count);
    const send = await sendToChild({ messages: count, bytes });
    rounds.push({ encodeMs: encode.ms / count, decodeMs: decode.ms / count, send, bytes });
  }
  tell(bench, rounds);
}

function tell({ experiment, server, count }: StagesBench, rounds: readonly Measured[]): void {
  const { report } = experiment;
  const of = (read: (one: Measured) => number): readonly number[] => rounds.map(read);
  const title = server.variant.name;
  const unit = { unit: "ms of a pipeline a sentence" };
  report.say(`\n${title}: encoder and decoder, by the stage meters of ${count} sentences`);
  report.add(
    "encoder's runs",
    of((one) => one.encodeMs),
    unit,
  );
  report.add(
    "decoder's runs",
    of((one) => one.decodeMs),
    unit,
  );
  report.add(
    "what the decoder needs of the encoder (keys and values, float32)",
    of((one) => one.bytes / 1_024),
    { unit: "KiB a sentence" },
  );
  report.add(
    "sending it to another process over a socket",
    of((one) => one.send.senderMs / count),
    { unit: "ms of a core a sentence" },
  );
  report.add(
    "receiving it",
    of((one) => one.send.receiverMs / count),
    { unit: "ms of a core a sentence" },
  );
  report.add(
    "from the first byte sent to the last one in place",
    of((one) => one.send.ms / count),
    { unit: "ms a sentence" },
  );
  report.say(
    "reckoned for two processes on two cores that never wait for each other but for the slower one:",
  );
  const together = (one: Measured): number => (one.encodeMs + one.decodeMs) / 2;
  const apart = (one: Measured): number =>
    Math.max(one.encodeMs + one.send.senderMs / count, one.decodeMs + one.send.receiverMs / count);
  report.add("both do both", of(together), { unit: "ms a sentence" });
  report.add("one encodes, one decodes", of(apart), { unit: "ms a sentence" });
  report.add(
    "one encodes, one decodes / both do both",
    of((one) => apart(one) / together(one)),
  );
}

interface Stages {
  readonly encode: Stage;
  readonly decode: Stage;
}

/** Between two looks at the meters. */
const lookMs = 100;

/** A pipeline reports its last runs when it idles, which is after its last answer. */
async function restingStages(server: Served, model: string): Promise<Stages> {
  for (let last = await stagesOf(server, model); ; ) {
    await delay(lookMs);
    const now = await stagesOf(server, model);
    if (now.decode.runs === last.decode.runs && now.encode.runs === last.encode.runs) return now;
    last = now;
  }
}

async function stagesOf({ url }: Served, model: string): Promise<Stages> {
  const metrics = await (await fetch(new URL("/metrics", url))).text();
  const valueOf = (name: string, stage: string): number => {
    const line = metrics
      .split("\n")
      .find(
        (each) =>
          each.startsWith(`${name}{`) &&
          each.includes(`stage="${stage}"`) &&
          each.includes(`model="${model}"`),
      );
    if (line === undefined) throw new Error(`the server has no ${name} of ${stage}`);
    return Number(line.split(" ").at(-1));
  };
  const stage = (of: string): Stage => ({
    ms: 1_000 * valueOf("millrace_stage_seconds_total", of),
    runs: valueOf("millrace_stage_runs_total", of),
    paddedTokens: valueOf("millrace_stage_padded_units_total", of),
  });
  return { encode: stage("encode"), decode: stage("decode") };
}

function difference(after: Stage, before: Stage): Stage {
  return {
    ms: after.ms - before.ms,
    runs: after.runs - before.runs,
    paddedTokens: after.paddedTokens - before.paddedTokens,
  };
}
