/**
 * What users of bert-as-service complain about most: that a client waits. How long a config request takes while every pipeline is busy,
 * and whether any of a thousand clients that have just connected loses its reply.
 */

import { quantiles } from "../harness/quantiles.js";
import { under } from "../harness/report.js";
import type { MadeModel } from "../tasks/settings.js";
import { BertClient } from "./drivers/bert-driver.js";
import { type ServedFronts, serveFronts } from "./serve-fronts.js";
import type { ModelSettings } from "./settings.js";

/** So many at once connect: more at a time would be a test of this process. */
const arrivingTogether = 50;
/** A reply that is not there by then is lost. */
const lostMs = 30_000;

export async function benchBertWire(
  model: MadeModel,
  settings: ModelSettings & { readonly clients: number },
): Promise<void> {
  const { report, serving, clients } = settings;
  await using server = await serveFronts({ ...serving, models: model.dir });
  const title = `${model.shape.name} ${model.precision}, bert over ZeroMQ`;
  const p50: number[] = [];
  const p99: number[] = [];
  await whileBusy(server, settings, async () => {
    for (let round = 0; round < settings.rounds; round += 1) {
      const times = quantiles(await configTimes(server, settings.ms));
      p50.push(times.p50Ms);
      p99.push(times.p99Ms);
    }
  });
  report.add(`${title}: a config request while all pipelines are busy, p50`, p50, { unit: "ms" });
  const target = under(5);
  report.add(`${title}: a config request while all pipelines are busy, p99`, p99, {
    unit: "ms",
    target,
  });
  const lost = await lostReplies(server, clients, settings.texts);
  report.add(`${title}: of ${clients} fresh clients lost their reply`, [lost], {
    target: under(1),
  });
}

/** Always more texts than the pipelines can have. */
async function whileBusy(
  { ports }: ServedFronts,
  { texts }: ModelSettings,
  work: () => Promise<void>,
): Promise<void> {
  let isOver = false;
  const busy = Array.from({ length: 4 }, async () => {
    using client = new BertClient(ports);
    while (!isOver) await client.encode(texts);
  });
  try {
    await work();
  } finally {
    isOver = true;
    await Promise.all(busy);
  }
}

async function configTimes({ ports }: ServedFronts, ms: number): Promise<readonly number[]> {
  using client = new BertClient(ports);
  await client.config();
  const times: number[] = [];
  const endAtMs = performance.now() + ms;
  while (performance.now() < endAtMs) {
    const startedAtMs = performance.now();
    await client.config();
    times.push(performance.now() - startedAtMs);
  }
  return times;
}

async function lostReplies(
  { ports }: ServedFronts,
  clients: number,
  texts: readonly string[],
): Promise<number> {
  let [left, lost] = [clients, 0];
  await Promise.all(
    Array.from({ length: arrivingTogether }, async () => {
      while (left > 0) {
        left -= 1;
        using client = new BertClient(ports);
        const text = texts[left % texts.length] ?? "";
        const first = await within(lostMs, client.config());
        const rows = first && (await within(lostMs, client.encode([text])));
        if (!rows) lost += 1;
      }
    }),
  );
  return lost;
}

async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  // A client that was given up is closed, and its wait with it.
  const done = work.then(
    () => true,
    () => false,
  );
  const isDone = await Promise.race([done, late]);
  clearTimeout(timer);
  return isDone;
}
