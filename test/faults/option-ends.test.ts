/**
 * Each option at both ends of its range: the server starts, a request goes through, and nothing is restarted; or
 * what the option says happens. Everything is real but what runs in the workers.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { TranslateRequest, TranslateResponse } from "millrace-client/wire";
import { MillraceError } from "millrace-client/wire";
import { openBackend } from "#src/backend/local-backend.js";
import { createLog } from "#src/log.js";
import type { OptionKey, Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { optionKeys, optionTable } from "#src/options/table.js";
import { type MillraceServer, startServer } from "#src/server.js";
import { FakeModels } from "../support/fake-models.js";
import { isLong } from "../support/long.js";
import { fakeEntry } from "../support/pool.js";
import { getStatus, outcomeOf, post } from "../support/real-server.js";

const limit = { timeout: 60_000 };
const models = new FakeModels();
after(() => models[Symbol.dispose]());

const base = { models: models.dir, port: 0, pipelines: 1, threads: 1, logLevel: "silent" } as const;

async function start(code: Partial<Options>): Promise<MillraceServer> {
  const configuration = resolveConfiguration({ code: { ...base, ...code } });
  return await startServer(configuration, {
    log: createLog({ ...configuration.options, destination: process.stdout }),
    openBackend: (parts) => openBackend({ ...parts, workerEntry: fakeEntry }),
  });
}

type End = "min" | "max";

interface Case {
  /** What must be set beside it, so that nothing contradicts. */
  readonly with?: Partial<Options>;
  /** Codes with which the request may fail instead: what the option is there for. */
  readonly codes?: readonly string[];
  /** Said only of layouts that would start hundreds of processes: they are resolved and not started. */
  readonly notStarted?: string;
}

const processes =
  "256 processes are more than a machine for tests has; the layout is the same as for 1";
const cut = "connection cut";

/** Everything that an end needs or does beside "a request goes through". */
const cases: Readonly<Partial<Record<OptionKey, Partial<Record<End, Case>>>>> = {
  pipelines: {
    min: { with: { realtimePipelines: 1, bulkPipelines: 1 } },
    max: { notStarted: processes },
  },
  realtimePipelines: { max: { with: { pipelines: 0, bulkPipelines: 1 }, notStarted: processes } },
  bulkPipelines: { max: { with: { pipelines: 0, realtimePipelines: 1 }, notStarted: processes } },
  bertPort: { min: { with: { bertPortOut: 0 } }, max: { with: { bertPortOut: 0 } } },
  bertPortOut: { min: { with: { bertPort: 0 } }, max: { with: { bertPort: 0 } } },
  zmqPort: { min: { with: { zmqPortOut: 0 } }, max: { with: { zmqPortOut: 0 } } },
  zmqPortOut: { min: { with: { zmqPort: 0 } }, max: { with: { zmqPort: 0 } } },
  queuedItemsMax: { min: { with: { requestInputsMax: 1 } } },
  queuedBytesMax: { min: { with: { bodyBytesMax: 65_536 } } },
  requestInputsMax: { max: { with: { queuedItemsMax: 1_000_000 } } },
  bodyBytesMax: { max: { with: { queuedBytesMax: 2 ** 28, bodiesBytesMax: 2 ** 28 } } },
  bodiesBytesMax: { min: { with: { bodyBytesMax: 65_536 } } },
  // A client may open its second connection before its first is idle.
  connectionsMax: { min: { codes: ["too_many_connections"] } },
  requestTimeoutMsDefault: {
    min: { codes: ["deadline_exceeded"] },
    max: { with: { requestTimeoutMsMax: 24 * 3_600_000 } },
  },
  requestTimeoutMsMax: {
    min: { with: { requestTimeoutMsDefault: 1 }, codes: ["deadline_exceeded"] },
  },
  headersTimeoutMs: { min: { codes: ["body_timeout", cut] } },
  bodyTimeoutMs: { min: { codes: ["body_timeout", cut] } },
  replyTimeoutMs: { min: { codes: [cut] } },
  keepAliveMs: { min: { codes: [cut] } },
  startTimeoutMs: { min: { codes: ["not_ready"] } },
  // No model is so small.
  modelMemoryBytes: { min: { codes: ["option_invalid"] } },
  // A run that is looked at in the wrong millisecond is a hang then.
  runMsMax: { min: { codes: ["worker_lost", "poison_item"] } },
};

interface Failure {
  /** Of the first item or of the request, or `cut`. */
  readonly code: string;
  readonly body: string;
}

/** Null where all is well. */
async function failureOf(url: string, request: TranslateRequest): Promise<Failure | null> {
  let response: Response;
  let body: string;
  try {
    response = await post(url, request);
    body = await response.text();
  } catch {
    return { code: cut, body: "" };
  }
  const parsed = JSON.parse(body) as TranslateResponse & { readonly error?: { code: string } };
  if (parsed.error !== undefined) return { code: parsed.error.code, body };
  const failed = parsed.results.find((result) => "error" in result);
  return failed === undefined ? null : { code: outcomeOf(failed), body };
}

/** Until it answers: with times of a millisecond a look may itself be cut off. */
async function statusOf(url: string): Promise<Awaited<ReturnType<typeof getStatus>>> {
  for (let looks = 0; looks < 1_000; looks += 1) {
    const status = await getStatus(url).catch(() => null);
    if (status !== null && "pipelines" in status) return status;
  }
  throw new Error("it never answered");
}

async function goesThrough(code: Partial<Options>, codes: readonly string[]): Promise<void> {
  let server: MillraceServer;
  try {
    server = await start(code);
  } catch (error) {
    assert.ok(error instanceof MillraceError && codes.includes(error.code), String(error));
    return;
  }
  await using running = server;
  const requests = [{ texts: "a" }, { texts: ["b"], beams: 8, nBest: 8 }] as const;
  for (const request of requests) {
    const failure = await failureOf(running.url, request);
    assert.ok(failure === null || codes.includes(failure.code), failure?.body);
  }
  // Where operators have a port of their own, it is there and nowhere else.
  const { pipelines } = await statusOf(running.adminUrl ?? running.url);
  if (codes.length === 0) assert.ok(pipelines.every(({ restarts }) => restarts === 0));
}

const isTime = (key: OptionKey): boolean => optionTable[key].group === "Times";
const isPort = (key: OptionKey): boolean => {
  const definition = optionTable[key];
  return definition.type === "integer" && definition.unit === "port";
};

/** Those that are not at this end together with all others: an end is a case of its own, or one port cannot be everybody's. */
const apart: Readonly<Record<End, readonly OptionKey[]>> = {
  min: ["pipelines", "connectionsMax", "modelMemoryBytes", ...optionKeys.filter(isTime)],
  max: ["pipelines", "realtimePipelines", "bulkPipelines", ...optionKeys.filter(isPort)],
};

for (const [index, key] of optionKeys.entries()) {
  const definition = optionTable[key];
  if (definition.type !== "integer") continue;
  for (const end of ["min", "max"] as const) {
    // The long run tries alone as well what is said below of all together, and each of those that stand apart.
    const isChosen =
      cases[key]?.[end] !== undefined || (apart[end].includes(key) && index % 3 === 0);
    if (!isLong && !isChosen) continue;
    const value = definition[end];
    const { with: others = {}, codes = [], notStarted } = cases[key]?.[end] ?? {};
    test(`defect 2: ${key} at its ${end}, ${value}`, limit, async () => {
      const code = { ...others, [key]: value };
      if (notStarted === undefined) await goesThrough(code, codes);
      else assert.equal(resolveConfiguration({ code: { ...base, ...code } }).options[key], value);
    });
  }
}

/** All of them at this end, but those that stand apart. */
function together(end: End): Partial<Options> {
  const entries = optionKeys.flatMap((key) => {
    const definition = optionTable[key];
    return definition.type === "integer" && !apart[end].includes(key)
      ? [[key, definition[end]]]
      : [];
  });
  return Object.fromEntries(entries) as Partial<Options>;
}

test("defect 2: all options at their maxima together", limit, async () => {
  await goesThrough(together("max"), []);
});

test(
  "defect 2: as many inputs at once as a pipeline of the largest size takes, and more",
  limit,
  async () => {
    await using server = await start({ rowsMax: 4096, prefetchRows: 4096 });
    const texts = Array.from({ length: 5_000 }, () => "a");
    assert.equal(await failureOf(server.url, { texts }), null);
    assert.deepEqual(
      (await getStatus(server.url)).pipelines.map(({ restarts }) => restarts),
      [0],
    );
  },
);

test("defect 2: all limits at their minima together", limit, async () => {
  const code = {
    ...together("min"),
    queuedBytesMax: 65_536,
    bodiesBytesMax: 65_536,
  };
  await goesThrough(code, []);
});
