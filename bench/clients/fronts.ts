/**
 * Sixty-four callers of one text each against one caller with all texts, over every protocol that serves a model of texts: what the
 * protocol costs, and what company is worth. Both send the same texts to the same server in turns.
 */

import { atLeast, ratios } from "../harness/report.js";
import type { MadeModel } from "../tasks/settings.js";
import { type Driver, drivers } from "./drivers.js";
import { serveFronts } from "./serve-fronts.js";
import type { ModelSettings } from "./settings.js";

export async function benchFronts(model: MadeModel, settings: ModelSettings): Promise<void> {
  const { report, rounds, callers, texts, serving } = settings;
  await using server = await serveFronts({ ...serving, models: model.dir });
  const { url, ports } = server;
  const at = { url, ports, model: model.manifest.name, callers };
  const title = `${model.shape.name} ${model.precision}`;
  for (const { name, open } of drivers) {
    await using driver = await open(at);
    const [many, one]: [number[], number[]] = [[], []];
    await oneCaller(driver, texts.slice(0, callers));
    for (let round = 0; round < rounds; round += 1) {
      one.push(await oneCaller(driver, texts));
      many.push(await manyCallers(driver, texts, callers));
    }
    report.add(`${title}, ${name}: ${callers} callers of one text`, many, { unit: "texts/s" });
    report.add(`${title}, ${name}: one caller of all`, one, { unit: "texts/s" });
    report.add(`${title}, ${name}: ${callers} callers / one caller`, ratios(many, one), {
      target: atLeast(0.8),
    });
  }
}

async function manyCallers(
  driver: Driver,
  texts: readonly string[],
  callers: number,
): Promise<number> {
  let next = 0;
  const startedAtMs = performance.now();
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let text = texts[next++]; text !== undefined; text = texts[next++]) {
        await send(driver, caller, [text]);
      }
    }),
  );
  return (1_000 * texts.length) / (performance.now() - startedAtMs);
}

/** As many in one request as the protocol's clients send. */
async function oneCaller(driver: Driver, texts: readonly string[]): Promise<number> {
  const startedAtMs = performance.now();
  for (let at = 0; at < texts.length; at += driver.textsMax) {
    await send(driver, 0, texts.slice(at, at + driver.textsMax));
  }
  return (1_000 * texts.length) / (performance.now() - startedAtMs);
}

async function send(driver: Driver, caller: number, texts: readonly string[]): Promise<void> {
  const vectors = await driver.send(caller, texts);
  if (vectors !== texts.length) throw new Error(`${vectors} vectors for ${texts.length} texts`);
}
