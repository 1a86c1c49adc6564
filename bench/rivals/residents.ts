/** Millrace as a resident translator: the bare engine, engines side by side, and whole servers. */
import type { CreateServerOptions } from "#src/index.js";
import type { EngineSpec } from "./engine-child.js";
import { askHttp, type HttpBodies, type HttpResult } from "./http-turn.js";
import { LineProcess, scriptOf } from "./line-process.js";
import type { ServerReady, ServerSpec } from "./server-child.js";
import { addSteps, type Translator, type Turn, type TurnResult } from "./turn.js";

export async function startEngine(spec: EngineSpec): Promise<Translator> {
  const [child] = await LineProcess.start(scriptOf("engine-child.js", spec));
  return residentOf(child);
}

/** Two processes, each with every second sentence. */
export async function startTwoEngines(
  spec: Omit<EngineSpec, "idsFile">,
  [evenFile, oddFile]: readonly [string, string],
): Promise<Translator> {
  return await startBoth(
    () => startEngine({ ...spec, idsFile: evenFile }),
    () => startEngine({ ...spec, idsFile: oddFile }),
  );
}

/** One after the other; where the second does not start, the first ends. Whoever asks has given each of them every second sentence. */
export async function startBoth(
  startEven: () => Promise<Translator>,
  startOdd: () => Promise<Translator>,
): Promise<Translator> {
  const even = await startEven();
  try {
    return bothOf(even, await startOdd());
  } catch (error) {
    await even[Symbol.asyncDispose]();
    throw error;
  }
}

/** A turn has ended when both have. */
function bothOf(even: Translator, odd: Translator): Translator {
  return {
    pid: even.pid,
    translate: async (turn) => {
      const [left, right] = await Promise.all([
        even.translate({ ...turn, count: Math.ceil(turn.count / 2) }),
        odd.translate({ ...turn, count: Math.floor(turn.count / 2) }),
      ]);
      return together(left, right);
    },
    [Symbol.asyncDispose]: async () => {
      await even[Symbol.asyncDispose]();
      await odd[Symbol.asyncDispose]();
    },
  };
}

function together(left: TurnResult, right: TurnResult): TurnResult {
  return {
    seconds: Math.max(left.seconds, right.seconds),
    sentences: left.sentences + right.sentences,
    tokens: left.tokens + right.tokens,
    outputs: left.outputs.flatMap((output, at) => [output, ...right.outputs.slice(at, at + 1)]),
    steps: addSteps(left.steps, right.steps),
  };
}

/** Of a server: two pipelines of one thread. `cacheDir`: where the packed weights are shared. */
export function pairOf(cacheDir: string) {
  return { pipelines: 2, threads: 1, cacheDir };
}

export interface ResidentServer extends Translator {
  readonly ready: ServerReady;
  /** The same turn over HTTP, from callers in this process, each of which sends when it has its answer. */
  translateOverHttp(turn: Turn, bodies: HttpBodies): Promise<HttpResult>;
}

export async function startServer(
  options: CreateServerOptions,
  idsFile: string,
): Promise<ResidentServer> {
  const spec: ServerSpec = { options, idsFile };
  const [child, first] = await LineProcess.start(scriptOf("server-child.js", spec));
  const ready = JSON.parse(first) as ServerReady;
  return {
    ...residentOf(child),
    ready,
    translateOverHttp: (turn, bodies) => askHttp(ready.url, turn, bodies),
  };
}

function residentOf(child: LineProcess): Translator {
  return {
    pid: child.pid,
    translate: async (turn) => JSON.parse(await child.ask(JSON.stringify(turn))) as TurnResult,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
