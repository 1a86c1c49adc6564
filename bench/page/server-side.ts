/** What a look costs the server's own process, by how many read it: idle, and under load. */
import { setTimeout as delay } from "node:timers/promises";
import { diagnose } from "#src/doctor/doctor.js";
import { createServer, type MillraceServer } from "#src/index.js";
import { type Look, StatusFeed } from "#src/metrics/status-feed.js";
import { TestFront } from "../../test/support/http-front.js";
import { startChild } from "../harness/child.js";
import { type Report, under } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { root } from "../serving/lines.js";

interface ServerSettings {
  readonly readers: readonly number[];
  readonly seconds: number;
  readonly rounds: number;
}

const everyMs = 20;
/** Of the server, so that a look tells of work that is done. */
const callers = 8;

interface Cost {
  /** Of a core. */
  readonly share: number;
  readonly looks: number;
}

export async function benchServer(report: Report, settings: ServerSettings): Promise<void> {
  const models = `${root}/models`;
  const server = await createServer({
    models,
    port: 0,
    pipelines: 2,
    threads: 1,
    logLevel: "silent",
    trial: "off",
  });
  try {
    await measure(report, "idle", { server, ...settings });
    const over = new AbortController();
    const load = Array.from({ length: callers }, () => callOn(server, over.signal));
    await measure(report, "under load", { server, ...settings });
    over.abort();
    await Promise.all(load);
  } finally {
    await server.close();
  }
}

async function measure(
  report: Report,
  of: string,
  { server, readers, seconds, rounds }: ServerSettings & { readonly server: MillraceServer },
): Promise<void> {
  let looks = 0;
  let characters = 0;
  const look = (): Look => {
    looks += 1;
    return { status: server.views.status(), nodes: null };
  };
  using feed = new StatusFeed(look, diagnose, everyMs);
  feed.start();
  await using front = await TestFront.start({}, { feed });
  const costs = await inTurns([0, ...readers], rounds, async (count): Promise<Cost> => {
    // In a process of their own: what they take is not the server's.
    const script = new URL("reading-child.js", import.meta.url);
    await using pages = count === 0 ? null : startChild(script, [front.url, String(count)]);
    if (pages !== null) characters = Number(await pages.line());
    const before = looks;
    const cpu = process.cpuUsage();
    const startedMs = performance.now();
    await delay(seconds * 1_000);
    const { user, system } = process.cpuUsage(cpu);
    const share = (user + system) / 1_000 / (performance.now() - startedMs);
    return { share, looks: (looks - before) / seconds };
  });
  const nobody = costs.get(0) ?? [];
  report.say(
    `${of}: a look is ${characters} characters, and comes ${1_000 / everyMs} times a second here`,
  );
  for (const count of readers) {
    // What a look costs where somebody reads it, beyond what it costs where nobody does; pages get one a second.
    const shares = (costs.get(count) ?? []).map(
      ({ share, looks: each }, at) => ((share - (nobody[at]?.share ?? 0)) / each) * 100,
    );
    const target = count === 10 ? under(1) : null;
    report.add(`${of}, ${count} pages: of a core`, shares, { unit: "%", target });
  }
}

/** One after another, by the way of every caller in this process. */
async function callOn(server: MillraceServer, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const body = JSON.stringify({ model: "en-zh", texts: ["Good morning.", "The train is late."] });
    const headers = { "content-type": "application/json" };
    const reply = await server.fetch(`${server.url}/v1/translate`, {
      method: "POST",
      headers,
      body,
    });
    if (!reply.ok) throw new Error(`a translation failed: ${await reply.text()}`);
    await reply.arrayBuffer();
  }
}
