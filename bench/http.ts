/**
 * The whole server through HTTP against the bare engine, with the same load generator beside both: 64 callers, each
 * sending one sentence and waiting for its answer. Beside the bare engine the callers talk to an echo that answers
 * as slowly as the engine works, so that both share the cores with the same generator.
 */
import { spawn } from "node:child_process";
import { createServer as createEcho } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { createServer } from "#src/index.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { spread, spreadText } from "./machine.js";

export const callers = 64;
export interface HttpBench {
  readonly modelDir: string;
  readonly file: string;
  /** Of one measurement. */
  readonly seconds: number;
  readonly rounds: number;
}

interface Load {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
}

export async function benchHttp(bench: HttpBench): Promise<void> {
  const { seconds, rounds } = bench;
  const { pipelines, threads, rowsMax } = resolveConfiguration({
    code: { models: bench.modelDir },
  }).options;
  console.log(
    `\nHTTP: ${callers} callers of one sentence each, ${pipelines} pipelines × ${threads} threads, ${rounds} rounds of ${seconds} s`,
  );
  const engine: number[] = [];
  const served: Load[] = [];
  const delays: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const bare = () => bareEngines({ ...bench, pipelines, threads, rowsMax, seconds });
    const alone = await bare();
    const echo = await startEcho((callers / alone) * 1000);
    const [beside] = await Promise.all([bare(), generate(echo.url, bench.file, seconds)]);
    echo.close();
    engine.push(beside);
    await using server = await createServer({
      models: bench.modelDir,
      port: 0,
      logLevel: "silent",
    });
    await generate(server.url, bench.file, Math.min(1, seconds));
    served.push(await generate(server.url, bench.file, seconds));
    delays.push(server.views.status().process.eventLoopDelayP99Ms);
  }
  report({ engine, served, delays });
}

function report(from: {
  readonly engine: readonly number[];
  readonly served: readonly Load[];
  readonly delays: readonly number[];
}): void {
  const { engine, served, delays } = from;
  const of = (read: (load: Load) => number, digits: number) => spreadText(served.map(read), digits);
  const failed = served.reduce((sum, each) => sum + each.failed, 0);
  const ratio = spread(served.map((each) => each.perSecond)).median / spread(engine).median;
  console.log(`  bare engine, generator beside it   ${spreadText(engine, 0)} sentences/s`);
  console.log(
    `  whole server through HTTP          ${of((each) => each.perSecond, 0)} sentences/s`,
  );
  console.log(
    `    latency p50 ${of((each) => each.p50Ms, 1)} ms, p99 ${of((each) => each.p99Ms, 1)} ms, failed ${failed}`,
  );
  console.log(`  HTTP is ${ratio.toFixed(2)} × the bare engine (target 0.8)`);
  console.log(
    `  event-loop delay of the front, p99: ${spreadText(delays, 1)} ms (target under 20)`,
  );
}

/** Sentences/s of as many processes as the server has pipelines, each always with its share of the callers' sentences. */
async function bareEngines(
  bench: HttpBench & {
    readonly pipelines: number;
    readonly threads: number;
    readonly rowsMax: number;
  },
): Promise<number> {
  const share = Math.ceil(callers / bench.pipelines);
  const each = Array.from({ length: bench.pipelines }, async () => {
    const { modelDir, file, seconds, threads, rowsMax } = bench;
    const output = await runScript("./bare-engine.js", [
      modelDir,
      file,
      seconds,
      threads,
      rowsMax,
      share,
    ]);
    return Number(output);
  });
  const rates = await Promise.all(each);
  return rates.reduce((sum, rate) => sum + rate, 0);
}

async function generate(url: string, file: string, seconds: number): Promise<Load> {
  return JSON.parse(await runScript("./load-generator.js", [url, file, seconds, callers])) as Load;
}

async function runScript(script: string, args: readonly (string | number)[]): Promise<string> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [path, ...args.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const output = await text(child.stdout);
  const code = await exited;
  if (code !== 0) throw new Error(`${script} ended with ${code}`);
  return output;
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
