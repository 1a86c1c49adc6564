/** The servers of `costs`: one for each share of the requests whose traces are kept, all up at once, each with a collector of its own. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StatusResponse } from "millrace-client/wire";
import { processTimeMs } from "../harness/process-time.js";
import { ServerTree } from "../harness/server-tree.js";
import { root } from "../serving/lines.js";
import { makeTimedModels } from "../timed/timed-models.js";
import { type Collected, KeepingCollector } from "./collector.js";

export type Workers = "real" | "instant";

/** Of the requests whose callers say nothing of a trace; null: nothing is exported. */
export type Kept = number | null;

export interface Sums {
  readonly requests: number;
  /** What the server's own process took of the processors; null where the machine does not tell. */
  readonly frontMs: number | null;
  readonly droppedSpans: number;
}

/** Spans are sent a second late at most. */
const sentMs = 1_500;

export class MeasuredServer implements AsyncDisposable {
  readonly url: string;
  readonly #kept: Kept;
  readonly #tree: ServerTree;
  readonly #collector: KeepingCollector;

  private constructor(
    kept: Kept,
    { url, tree, collector }: { url: string; tree: ServerTree; collector: KeepingCollector },
  ) {
    this.#kept = kept;
    this.url = url;
    this.#tree = tree;
    this.#collector = collector;
  }

  /** `server`: what it is called. */
  static async start(
    { server: name, kept }: { readonly server: string; readonly kept: Kept },
    of: { readonly workers: Workers; readonly pipelines: number; readonly dir: string },
  ): Promise<MeasuredServer> {
    const { workers, pipelines, dir } = of;
    const isReal = workers === "real";
    const models = isReal ? join(root, "models") : await makeTimedModels(join(dir, name));
    const collector = await KeepingCollector.start();
    const traced = kept === null ? {} : { "otlp-url": collector.url, "trace-sample-ratio": kept };
    const own = { models, port: 0, pipelines, threads: 1, "cache-dir": join(dir, "cache") };
    try {
      const tree = await ServerTree.start({
        name: `costs ${name}`,
        script: isReal ? "real" : "timed",
        flags: { ...own, ...traced },
        env: { TIMED_FACTOR: "0" },
      });
      return new MeasuredServer(kept, { url: await tree.ready(), tree, collector });
    } catch (error) {
      await collector[Symbol.asyncDispose]();
      throw error;
    }
  }

  async sums(): Promise<Sums> {
    const status = (await (await fetch(`${this.url}/status`)).json()) as StatusResponse;
    const page = await (await fetch(`${this.url}/metrics`)).text();
    const counts = page.matchAll(/^millrace_trace_spans_dropped_total\{.*\} (\d+)$/gm);
    const droppedSpans = [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
    return { requests: status.requests.finished, droppedSpans, frontMs: this.#frontMs() };
  }

  /**
   * What the collector has got of so many requests, once nothing of it is under way.
   *
   * @throws where a trace is missing that was kept and not counted as dropped, or one is there that was not to be kept
   */
  async collected({ requests, droppedSpans }: Sums): Promise<Collected> {
    if (this.#kept !== null && this.#kept > 0) await delay(sentMs);
    const collected = this.#collector.take();
    const { servers } = collected;
    const kept = this.#kept ?? 0;
    // All and none are exact; in between, so many more may be kept by chance, or fewer.
    const byChance = kept === 0 || kept === 1 ? 0 : 4 * Math.sqrt(requests);
    const most = kept * requests + byChance;
    const least = kept * requests - byChance - droppedSpans;
    if (servers > most || servers < least) {
      const seen = `${servers} traces, ${droppedSpans} spans dropped`;
      throw new Error(`${requests} requests, of which ${kept} are kept: ${seen}`);
    }
    return collected;
  }

  /** What came before something is measured. */
  async forget(): Promise<void> {
    await delay(sentMs);
    this.#collector.take();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tree.kill();
    await this.#collector[Symbol.asyncDispose]();
  }

  #frontMs(): number | null {
    return processTimeMs(this.#tree.pid);
  }
}
