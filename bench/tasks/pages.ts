/**
 * Pages of text: through the server with sixteen callers, against one page after another in one process, with the same number of
 * threads in all: as pipelines of one thread each, which is how the server splits them here, and as one pipeline of all.
 * What can be won is overlap (pictures are decoded while a session runs), lines of many pages in one run, and threads
 * that need not wait for each other within a run.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { convertOcr } from "#src/convert/ocr/convert-ocr.js";
import type { FrameOutcome } from "#src/frames/messages.js";
import { createServer, type MillraceServer } from "#src/index.js";
import { readModel } from "#src/models/read-manifest.js";
import { loadEngine } from "#src/runtime/engines.js";
import { taskOf } from "#src/tasks/table.js";
import type { Payload } from "#src/work/payload.js";
import { type Report, ratios } from "../harness/report.js";
import type { PagesSettings } from "./settings.js";

const callers = 16;

export async function benchPages(report: Report, settings: PagesSettings): Promise<void> {
  const { graphs, pictures, parent, rounds, threads } = settings;
  if (!existsSync(graphs) || !existsSync(pictures)) {
    report.say(`\npages: left out, there is no ${graphs} or no ${pictures}`);
    return;
  }
  const dir = join(parent, "ocr-models", "ocr");
  await convertOcr({
    detector: join(graphs, "ch_PP-OCRv3_det.onnx"),
    recogniser: join(graphs, "chineseocr_lite-crnn_lite_rec.onnx"),
    keys: join(graphs, "chineseocr_lite-keys.txt"),
    direction: join(graphs, "ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    outDir: dir,
    force: false,
    signal: new AbortController().signal,
  });
  const pages = await readPages(pictures);
  const alone = await oneAfterAnother(dir, pages, threads);
  const start = async (split: {
    readonly pipelines: number;
    readonly threads: number;
  }): Promise<MillraceServer> =>
    await createServer({ ...split, models: dir, port: 0, logLevel: "silent" });
  await using split = await start({ pipelines: threads, threads: 1 });
  await using whole = threads > 1 ? await start({ pipelines: 1, threads }) : null;
  const own: number[] = [];
  const lines = [(await alone()).lines];
  const ways = [{ title: `${threads} × 1 threads`, server: split, speeds: [] as number[] }];
  if (whole !== null) ways.push({ title: `1 × ${threads} threads`, server: whole, speeds: [] });
  for (const { server } of ways) lines.push((await manyCallers(server, pages)).lines);
  for (let round = 0; round < rounds; round += 1) {
    own.push(perSecond(pages, (await alone()).ms));
    for (const { server, speeds } of ways)
      speeds.push(perSecond(pages, (await manyCallers(server, pages)).ms));
  }
  report.say(
    `\npages: ${pages.length} a round, ${lines.join(", ")} lines found; ${callers} callers`,
  );
  report.add("one after another in one process", own, { unit: "pages/s" });
  for (const { title, speeds } of ways) {
    const name = `through the server, ${title}`;
    report.add(name, speeds, { unit: "pages/s" });
    report.add(`${name} / one after another`, ratios(speeds, own));
  }
}

interface PagesRun {
  readonly ms: number;
  readonly lines: number;
}

/** Every picture several times, so that callers have some to do. */
async function readPages(folder: string): Promise<Buffer[]> {
  const names = (await readdir(folder)).filter((name) => /^\.(png|jpe?g)$/.test(extname(name)));
  const pages = await Promise.all(names.sort().map((name) => readFile(join(folder, name))));
  return Array.from({ length: 4 }, () => pages).flat();
}

async function oneAfterAnother(
  dir: string,
  pages: readonly Buffer[],
  threads: number,
): Promise<() => Promise<PagesRun>> {
  const outcomes: FrameOutcome[] = [];
  const engine = await loadEngine(
    { modelDir: dir, threads, rowsMax: 64, weightsCache: null },
    { onRun: () => {}, onOutcomes: (some) => outcomes.push(...some) },
  );
  const payloads = await payloadsOf(dir, pages);
  return async () => {
    outcomes.length = 0;
    const startedAtMs = performance.now();
    for (const [itemId, payload] of payloads.entries()) {
      engine.admit("bulk", [{ itemId, payload }]);
      while (!engine.idle) await engine.step();
    }
    const ms = performance.now() - startedAtMs;
    const lines = outcomes.reduce((sum, outcome) => sum + linesOf(outcome), 0);
    return { ms, lines };
  };
}

/** As the server's own task makes them. */
async function payloadsOf(dir: string, pages: readonly Buffer[]): Promise<Payload[]> {
  const task = taskOf({ task: "ocr" });
  const model = await task.open(await readModel(dir), {
    inputCharactersMax: 1,
    imagePixelsMax: 40_000_000,
  });
  const payloads: Payload[] = [];
  for (const [index, page] of pages.entries()) {
    for (const step of model.steps(new Uint8Array(page), { index, settings: {} })) {
      if (step.kind === "piece") payloads.push(step.piece.payload);
    }
  }
  return payloads;
}

function linesOf(outcome: FrameOutcome): number {
  if (!outcome.ok) throw new Error(`a page failed: ${outcome.message}`);
  const scores = outcome.value.tensors["scores"]?.data;
  return scores?.length ?? 0;
}

async function manyCallers(server: MillraceServer, pages: readonly Buffer[]): Promise<PagesRun> {
  let next = 0;
  let lines = 0;
  const startedAtMs = performance.now();
  await Promise.all(
    Array.from({ length: callers }, async () => {
      for (let page = pages[next++]; page !== undefined; page = pages[next++]) {
        // Not in one statement: that would read the sum before it waits, and lose what others add.
        const found = await readPage(server, page);
        lines += found;
      }
    }),
  );
  return { ms: performance.now() - startedAtMs, lines };
}

async function readPage(server: MillraceServer, page: Buffer): Promise<number> {
  const response = await fetch(`${server.url}/v1/ocr`, {
    method: "POST",
    headers: { "content-type": page[0] === 0x89 ? "image/png" : "image/jpeg" },
    body: new Uint8Array(page),
  });
  const reply = (await response.json()) as {
    readonly results?: readonly { readonly lines?: readonly unknown[] }[];
  };
  const found = reply.results?.[0]?.lines;
  if (found === undefined) throw new Error(`a page failed: ${JSON.stringify(reply).slice(0, 300)}`);
  return found.length;
}

function perSecond(pages: readonly unknown[], ms: number): number {
  return (1_000 * pages.length) / ms;
}
