/** A whole server, `startServer` and all, before an `EchoSubmit` instead of pipelines; its log is kept. */
import type { ModelInfo, ServerState } from "millrace-client/wire";
import type { Backend, BackendParts } from "#src/backend/backend.js";
import { createLog } from "#src/log.js";
import type { Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { type MillraceServer, startServer } from "#src/server.js";
import { EchoSubmit } from "./echo-submit.js";
import { emptyStatus } from "./empty-status.js";

export interface EchoServer extends AsyncDisposable {
  readonly server: MillraceServer;
  readonly submit: EchoSubmit;
  /** Messages so far, with what makes them told apart. */
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** Resolves when a record with this message was written, or one has been since `from`. */
  logged(message: string, from?: number): Promise<Readonly<Record<string, unknown>>>;
}

export async function startEcho(code: Partial<Options> = {}): Promise<EchoServer> {
  const submit = new EchoSubmit();
  const log: Readonly<Record<string, unknown>>[] = [];
  const waiting = new Set<() => void>();
  const write = (line: string): void => {
    log.push(JSON.parse(line) as Record<string, unknown>);
    for (const look of waiting) look();
  };
  const configuration = resolveConfiguration({ code: { port: 0, trial: "off", ...code } });
  const server = await startServer(configuration, {
    log: createLog({ log: "json", logLevel: "info", destination: { write } }),
    openBackend: (parts) => backendOf(parts, submit),
  });
  return {
    server,
    submit,
    log,
    logged: (message, from = 0) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = log.slice(from).find(({ msg }) => msg === message);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    [Symbol.asyncDispose]: async () => {
      submit.release();
      await server.close();
    },
  };
}

function backendOf(parts: BackendParts, submit: EchoSubmit): Backend {
  const { identity, heldByListener } = parts;
  let state: ServerState = "starting";
  return {
    submit,
    views: {
      identity,
      get isDraining() {
        return state === "draining";
      },
      models: () => ["echo", "other"].map(modelOf),
      statistics: () => [],
      ready: () => ({ ready: true, state, models: [], notReady: [], deployment: identity }),
      status: () => {
        const empty = emptyStatus(identity, state);
        return { ...empty, process: { ...empty.process, pid: 1, ...heldByListener() } };
      },
    },
    reload: () => Promise.resolve({ added: [], changed: [], removed: [], broken: [], missing: [] }),
    start: () => {
      state = "ready";
      return Promise.resolve();
    },
    drain: () => {
      state = "draining";
    },
    stop: () => Promise.resolve(true),
  };
}

function modelOf(name: string): ModelInfo {
  return {
    name,
    task: "translate",
    family: "marian",
    sourceLanguage: "en",
    targetLanguage: "de",
    precision: "f32",
    ready: true,
    state: "resident",
    pipelines: ["echo-0"],
    reason: null,
    limits: { inputTokensMax: 512, outputTokensMax: 512 },
  };
}
