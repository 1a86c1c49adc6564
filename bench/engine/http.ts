/**
 * The whole server through HTTP against the bare engine, with the same load generator beside both: 64 callers, each
 * sending one sentence and waiting for its answer. Beside the bare engine the callers talk to an echo that answers
 * as slowly as the engine works, so that both share the cores with the same generator.
 */
import { readFile } from "node:fs/promises";
import { createServer as createEcho } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "#src/index.js";
import { rowsMaxOf } from "#src/models/engine-table.js";
import { readModel } from "#src/models/read-manifest.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { TempDir } from "../../test/support/temp-dir.js";
import { type Load, translateInTurn, writeBodies } from "../clients/load.js";
import { startChild } from "../harness/child.js";
import { atLeast, type Report, ratios, under } from "../harness/report.js";

const callers = 64;
export interface HttpBench {
  readonly modelDir: string;
  readonly file: string;
  /** Of one measurement. */
  readonly seconds: number;
  readonly rounds: number;
}

interface BareBench extends HttpBench {
  readonly pipelines: number;
  readonly threads: number;
  readonly rowsMax: number;
}

export async function benchHttp(report: Report, bench: HttpBench): Promise<void> {
  const { seconds, rounds } = bench;
  const { options } = resolveConfiguration({ code: { models: bench.modelDir } });
  const { pipelines, threads } = options;
  const { manifest } = await readModel(bench.modelDir);
  const rowsMax = rowsMaxOf(manifest, options);
  report.say(
    `\nHTTP: ${callers} callers of one sentence each, ${pipelines} pipelines × ${threads} threads, ${rounds} rounds of ${seconds} s`,
  );
  await using temp = await TempDir.make();
  const parent = temp.path;
  const bodiesFile = await writeBodies(join(parent, "bodies.jsonl"), await bodiesOf(bench.file));
  tell(report, await measure({ ...bench, pipelines, threads, rowsMax }, bodiesFile));
}

/** A sentence each. */
async function bodiesOf(file: string): Promise<readonly object[]> {
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => ({ texts: [line], beams: 1 }));
}

interface Measured {
  readonly engine: readonly number[];
  readonly served: readonly Load[];
  readonly delays: readonly number[];
}

async function measure(bench: BareBench, bodiesFile: string): Promise<Measured> {
  const { seconds, rounds, modelDir } = bench;
  const engine: number[] = [];
  const served: Load[] = [];
  const delays: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const bare = () => bareEngines(bench);
    const alone = await bare();
    const echo = await startEcho((callers / alone) * 1000);
    const [beside] = await Promise.all([bare(), generate(echo.url, bodiesFile, seconds)]);
    echo.close();
    engine.push(beside);
    await using server = await createServer({
      models: modelDir,
      port: 0,
      logLevel: "silent",
    });
    await generate(server.url, bodiesFile, Math.min(1, seconds));
    served.push(await generate(server.url, bodiesFile, seconds));
    delays.push(server.views.status().process.eventLoopDelayP99Ms);
  }
  return { engine, served, delays };
}

function tell(report: Report, { engine, served, delays }: Measured): void {
  const of = (read: (load: Load) => number) => served.map(read);
  const perSecond = of((each) => each.perSecond);
  const rate = { unit: "sentences/s" };
  const ms = { unit: "ms" };
  report.add("bare engine, generator beside it", engine, rate);
  report.add("whole server through HTTP", perSecond, rate);
  report.add(
    "whole server through HTTP, p50",
    of((each) => each.p50Ms),
    ms,
  );
  report.add(
    "whole server through HTTP, p99",
    of((each) => each.p99Ms),
    ms,
  );
  report.add(
    "whole server through HTTP, failed",
    of((each) => each.failed),
  );
  report.add("HTTP / bare engine", ratios(perSecond, engine), { target: atLeast(0.8) });
  report.add("event-loop delay of the front, p99", delays, { ...ms, target: under(20) });
}

/** Sentences/s of as many processes as the server has pipelines, each always with its share of the callers' sentences. */
async function bareEngines(bench: BareBench): Promise<number> {
  const share = Math.ceil(callers / bench.pipelines);
  const each = Array.from({ length: bench.pipelines }, async () => {
    const { modelDir, file, seconds, threads, rowsMax } = bench;
    const args = [modelDir, file, seconds, threads, rowsMax, share].map(String);
    const child = startChild(new URL("bare-engine.js", import.meta.url), args);
    return Number(await child.output());
  });
  const rates = await Promise.all(each);
  return rates.reduce((sum, rate) => sum + rate, 0);
}

async function generate(url: string, bodiesFile: string, seconds: number): Promise<Load> {
  return await translateInTurn({ url, bodiesFile, callers, ms: 1_000 * seconds });
}

async function startEcho(delayMs: number): Promise<{ readonly url: string; close(): void }> {
  const server = createEcho((request, response) => {
    request.resume();
    setTimeout(() => {
      response.setHeader("content-type", "application/json");
      response.end('{"results":[{"text":"","score":0}]}');
    }, delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
