/** The resident translators of one precision and one set of sentences, each started when a case first needs it. */
import type { ResidentServer } from "../residents.js";
import { pairOf, startEngine, startServer, startTwoEngines } from "../residents.js";
import type { SentenceSet } from "../sentences.js";
import type { Translator, Turn, TurnResult } from "../turn.js";
import type { CaseSpec, RivalLayout } from "./case-spec.js";
import type { Rival } from "./rival.js";

export interface FleetSpec {
  readonly rival: Rival;
  /** Millrace's folder. */
  readonly modelDir: string;
  readonly set: SentenceSet;
  /** Of an engine. */
  readonly rowsMax: number;
  /** For whatever is written. */
  readonly dir: string;
}

export interface NamedProcesses {
  readonly name: string;
  readonly pids: readonly number[];
}

export class Fleet implements AsyncDisposable {
  readonly #spec: FleetSpec;
  readonly #started = new Map<string, Promise<Translator>>();

  constructor(spec: FleetSpec) {
    this.#spec = spec;
  }

  get rivalName(): string {
    return this.#spec.rival.name;
  }

  /** Whether what the rival says can be held against what Millrace says. */
  get rivalSaysTexts(): boolean {
    return this.#spec.rival.outputs === "texts";
  }

  rival(layout: RivalLayout): Promise<Translator> {
    const { rival, set, dir } = this.#spec;
    const key = `${rival.name}, ${layout.replicas} of ${layout.threads} threads`;
    return this.#once(key, () => rival.start(layout, set, dir));
  }

  engine(): Promise<Translator> {
    return this.#once("engine", () =>
      startEngine({ ...this.#engineSpec, idsFile: this.#spec.set.idsFile }),
    );
  }

  /** Two pipelines of one thread, or what no flag asks for. */
  server(layout: "pair" | "default"): Promise<ResidentServer> {
    const { modelDir: models, dir: cacheDir, rowsMax, set } = this.#spec;
    const options = layout === "pair" ? { ...pairOf(cacheDir), rowsMax } : { cacheDir };
    return this.#once(layout, () => startServer({ ...options, models }, set.idsFile));
  }

  async ours(spec: CaseSpec): Promise<(turn: Turn) => Promise<TurnResult>> {
    switch (spec.ours) {
      case "engine":
        return turnsOf(await this.engine());
      case "two-engines": {
        const { halfFiles } = this.#spec.set;
        return turnsOf(
          await this.#once("two engines", () => startTwoEngines(this.#engineSpec, halfFiles)),
        );
      }
      case "server":
        return turnsOf(await this.server("pair"));
      case "default-server":
        return turnsOf(await this.server("default"));
      case "http-one":
      case "http-64": {
        const server = await this.server("pair");
        const { texts } = this.#spec.set;
        const [callers, each] = spec.ours === "http-64" ? [64, 1] : [1, texts.length];
        return (turn) => server.translateOverHttp(turn, { texts, callers, each });
      }
    }
  }

  /** Who shares the processor with Millrace's answers over HTTP; none where nobody does, or the machine does not tell. */
  async processes({ ours }: CaseSpec): Promise<readonly NamedProcesses[]> {
    if (process.platform !== "linux" || (ours !== "http-one" && ours !== "http-64")) return [];
    const server = await this.server("pair");
    return [
      { name: "callers", pids: [process.pid] },
      { name: "server", pids: [server.pid] },
      { name: "pipelines", pids: server.ready.pipelines },
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const started = await Promise.allSettled(this.#started.values());
    for (const one of started) {
      if (one.status === "fulfilled") await one.value[Symbol.asyncDispose]();
    }
  }

  get #engineSpec() {
    const { modelDir, rowsMax, dir: cacheDir } = this.#spec;
    return { modelDir, rowsMax, cacheDir, threads: 1 };
  }

  #once<One extends Translator>(key: string, start: () => Promise<One>): Promise<One> {
    const started = (this.#started.get(key) as Promise<One> | undefined) ?? start();
    this.#started.set(key, started);
    return started;
  }
}

function turnsOf(translator: Translator): (turn: Turn) => Promise<TurnResult> {
  return (turn) => translator.translate(turn);
}
