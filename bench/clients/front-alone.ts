/** What the front can do by itself: requests of sixteen texts to a model that does nothing, each side on a core of its own. */
import { join } from "node:path";
import { startChild } from "../harness/child.js";
import { atLeast } from "../harness/report.js";
import { generateLoad, writeBodies } from "./load.js";
import type { ClientsSettings } from "./settings.js";

const textsOfRequest = 16;
const answers = [
  ["none", "no vector"],
  ["base64", "a vector of 384 in base64"],
  ["floats", "a vector of 384 in digits"],
] as const;

export async function benchFrontAlone(settings: ClientsSettings): Promise<void> {
  const { report, parent, rounds, ms, callers, profileDir } = settings;
  const text = "the quick brown fox jumps over the lazy dog and goes home";
  const texts = Array.from({ length: textsOfRequest }, (_, at) => `${text} ${at}`);
  const bodiesFile = await writeBodies(join(parent, "front.jsonl"), [{ texts }]);
  for (const [answer, title] of answers) {
    const flags = profileDir === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`];
    const script = new URL("noop-server.js", import.meta.url);
    await using server = startChild(script, [answer], { flags });
    const url = await server.line();
    const items: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const load = await generateLoad({
        url,
        path: "/v1/embed",
        bodiesFile,
        itemsOfBody: textsOfRequest,
        callers,
        warmMs: ms / 2,
        ms,
        healthPath: null,
      });
      items.push(load.perSecond);
    }
    const target = answer === "none" ? atLeast(20_000) : null;
    report.add(`front alone, requests of ${textsOfRequest}, ${title}`, items, {
      unit: "items/s",
      target,
    });
  }
}
