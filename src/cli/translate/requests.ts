/** Sends the lines, a few requests at once, and puts each result at the place of its line. */
import {
  apiDefaults,
  Millrace,
  type TranslateFields,
  type TranslateOutcome,
} from "millrace-client";
import type { TranslateFlags } from "./flags.js";
import { packLines } from "./packing.js";
import { progressBar } from "./progress-bar.js";

export interface TranslatedLines {
  /** By line; null for a blank one, which is not sent: there is nothing in it to translate. */
  readonly results: readonly (TranslateOutcome | null)[];
  readonly requests: number;
  /** Sentences translated by each pipeline. */
  readonly pipelines: ReadonlyMap<string, number>;
}

const requestsAtOnce = 4;

export async function translateLines(
  lines: readonly string[],
  flags: TranslateFlags,
  signal: AbortSignal,
): Promise<TranslatedLines> {
  const places = [...lines.keys()].filter((at) => lines[at]?.trim() !== "");
  const requests = packLines(places, lines, flags.requestTexts);
  const results: (TranslateOutcome | null)[] = lines.map(() => null);
  const pipelines = new Map<string, number>();
  const expect = flags.expectEnvironment;
  await using client = new Millrace(flags.url, {
    sharing: false,
    ...(expect === undefined ? {} : { expect: { environment: expect } }),
  });
  const fields = fieldsOf(flags, places.length);
  const bar = progressBar(flags, places.length);
  const queue = requests.values();
  const work = async (): Promise<void> => {
    for (const request of queue) {
      const texts = request.map((at) => lines[at] ?? "");
      const onProgress = (): void => bar?.increment();
      const reply = await client.translate(texts, { ...fields, signal, onProgress });
      for (const [index, at] of request.entries()) results[at] = reply.results[index] ?? null;
      for (const [pipeline, items] of Object.entries(reply.pipelines ?? {})) {
        pipelines.set(pipeline, (pipelines.get(pipeline) ?? 0) + items);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: requestsAtOnce }, work));
  } finally {
    bar?.stop();
  }
  return { results, requests: requests.length, pipelines };
}

/** The class is that of the whole file: its last, short request must not pass for somebody who waits. */
function fieldsOf(flags: TranslateFlags, texts: number): TranslateFields {
  const workClass = flags.class ?? (texts >= apiDefaults.bulkThreshold ? "bulk" : undefined);
  return {
    ...(flags.model === undefined ? {} : { model: flags.model }),
    ...(flags.beams === undefined ? {} : { beams: flags.beams }),
    ...(flags.nBest === undefined ? {} : { nBest: flags.nBest }),
    ...(workClass === undefined ? {} : { class: workClass }),
  };
}
