/** What a look costs a browser that draws it, small and large; and how soon one shows a worker that was killed. */
import { setTimeout as delay } from "node:timers/promises";
import type { Browser, CDPSession, Page } from "playwright-core";
import { createServer } from "#src/index.js";
import { launchBrowser } from "../../test/support/browser.js";
import { largeDeployment, madeDeployment } from "../../test/support/made-deployment.js";
import { MadeLooks } from "../../test/support/made-looks.js";
import { until } from "../../test/support/until.js";
import { type Report, under } from "../harness/report.js";
import { root } from "../serving/lines.js";

interface BrowserSettings {
  readonly seconds: number;
  readonly kills: number;
}

const everyMs = 100;
const small = { pipelines: 2, models: 2, tenants: 4, nodes: 0, jobs: 5, findings: 1 };
/** The two minutes that a page keeps are full by then. */
const historyLooks = 125;

export async function benchBrowser(report: Report, settings: BrowserSettings): Promise<void> {
  const browser = await launchBrowser();
  try {
    for (const [name, size] of [
      ["2 pipelines, 2 models", small],
      ["64 pipelines, 200 models, 100 nodes", largeDeployment],
    ] as const) {
      await using made = await MadeLooks.start(madeDeployment(size), everyMs);
      await draw(report, name, { browser, made, ...settings });
    }
    if (settings.kills > 0) await kill(report, browser, settings.kills);
  } finally {
    await browser.close();
  }
}

interface Drawn extends BrowserSettings {
  readonly browser: Browser;
  readonly made: MadeLooks;
}

async function draw(
  report: Report,
  name: string,
  { browser, made, seconds }: Drawn,
): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1400, height: 960 } });
  await page.goto(made.url);
  await until(() => made.written >= historyLooks);
  const metrics = await page.context().newCDPSession(page);
  await metrics.send("Performance.enable");
  const before = await read(metrics);
  const written = made.written;
  await delay(seconds * 1_000);
  const after = await read(metrics);
  const looks = made.written - written;
  if (looks === 0) throw new Error("no look came");
  report.add(
    `${name}: main thread of the browser, a look`,
    [((after.TaskDuration - before.TaskDuration) * 1_000) / looks],
    { unit: "ms", target: under(50) },
  );
  report.add(
    `${name}: of it script`,
    [((after.ScriptDuration - before.ScriptDuration) * 1_000) / looks],
    { unit: "ms" },
  );
  report.add(`${name}: heap of the page`, [after.JSHeapUsedSize / 1024 ** 2], { unit: "MiB" });
  await page.close();
}

const names = ["TaskDuration", "ScriptDuration", "JSHeapUsedSize"] as const;

async function read(session: CDPSession): Promise<Record<(typeof names)[number], number>> {
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  const values = names.map((name) => [
    name,
    metrics.find((each) => each.name === name)?.value ?? 0,
  ]);
  return Object.fromEntries(values) as Record<(typeof names)[number], number>;
}

/** From the signal until the lane says so, as the page itself saw it. */
async function kill(report: Report, browser: Browser, kills: number): Promise<void> {
  const server = await createServer({
    models: `${root}/models`,
    port: 0,
    pipelines: 2,
    threads: 1,
    logLevel: "silent",
    trial: "off",
  });
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    const tookMs: number[] = [];
    for (let round = 0; round < kills; round += 1) {
      await until(() => server.views.status().pipelines.every(({ state }) => state === "ready"));
      const [first] = server.views.status().pipelines;
      if (first === undefined || first.pid === null) throw new Error("there is no pipeline");
      // A page that still shows the last one as down would show this one before it is killed.
      await page.waitForSelector(`[data-pipeline="${first.pipelineId}"]:not(.down)`);
      const seen = seenDown(page, first.pipelineId, first.restarts + 1);
      // Somewhere between two looks.
      await delay(250 * round);
      const startedMs = Date.now();
      process.kill(first.pid, "SIGKILL");
      tookMs.push((await seen) - startedMs);
    }
    report.add("a worker was killed: until the page shows it", tookMs, {
      unit: "ms",
      target: under(2_000),
    });
  } finally {
    await server.close();
  }
}

/** When the page first showed it, by the browser's clock, which is this machine's. */
async function seenDown(page: Page, pipelineId: string, restarts: number): Promise<number> {
  const word = restarts === 1 ? "1 restart" : `${restarts} restarts`;
  return await page.evaluate(`new Promise((resolve) => {
    const look = () => {
      const lane = document.querySelector('[data-pipeline="${pipelineId}"]');
      if (lane?.classList.contains("down") || lane?.innerText.includes("${word}")) resolve(Date.now());
      else requestAnimationFrame(look);
    };
    look();
  })`);
}
