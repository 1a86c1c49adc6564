/** The page in a real browser, before a real server with real pipelines. With `PAGE_PICTURES=1` it makes the pictures of docs/page.md. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Browser } from "playwright-core";
import type { MillraceServer } from "#src/index.js";
import { launchBrowser, skipWithoutBrowser } from "../support/browser.js";
import { Keys } from "../support/keys.js";
import { OpenedPage } from "../support/opened-page.js";
import { PrefixProxy } from "../support/prefix-proxy.js";
import { postJson, sentences, startReal, translate } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

const skip = skipWithoutBrowser;
const withPictures = process.env["PAGE_PICTURES"] === "1";
let temp: TempDir;
let server: MillraceServer;
let browser: Browser;

before(async () => {
  if (skip !== false) return;
  temp = await TempDir.make();
  const names = { name: "shop-translate", environment: "test" };
  server = await startReal({ ...names, data: temp.file("data") });
  browser = await launchBrowser();
});

after(async () => {
  if (skip !== false) return;
  await browser.close();
  await server.close();
  await temp[Symbol.asyncDispose]();
});

const open = (url: string, settings: Parameters<Browser["newPage"]>[0] = {}): Promise<OpenedPage> =>
  OpenedPage.at(browser, url, settings);

/** For the pictures: callers of two classes and several tenants, for a while before one is taken. */
class Load implements Disposable {
  #isOver = false;

  static async of(url: string): Promise<Load> {
    const load = new Load();
    for (const tenant of ["web", "mobile", "search"]) void load.#call(url, tenant, 4);
    void load.#call(url, "nightly", 300);
    await delay(45_000);
    return load;
  }

  async #call(url: string, tenant: string, count: number): Promise<void> {
    while (!this.#isOver) {
      const texts = Array.from(
        { length: count },
        (_, at) => sentences[at % sentences.length] ?? "",
      );
      const model = tenant === "search" ? "en-zh-embeddings" : "en-zh";
      const path = tenant === "search" ? "embed" : "translate";
      const body = { model, texts, tenant, class: count > 100 ? "bulk" : "realtime" };
      await (await postJson(`${url}/v1/${path}`, body)).text();
      await delay(count * 40);
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
  }
}

test("Now shows known load, panel by panel, and a pipeline that was killed", {
  skip,
  timeout: 60_000,
}, async (context) => {
  await translate(server.url, { model: "en-zh", texts: sentences, tenant: "web" });
  const created = await fetch(`${server.url}/v1/jobs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ task: "translate", model: "en-zh", texts: sentences }),
  });
  assert.equal(created.status, 202);
  await until(async () =>
    (await (await fetch(`${server.url}/v1/jobs`)).text()).includes('"completed"'),
  );
  const done = server.views.status().items.done;
  await using opened = await open(server.url);
  await opened.says(new RegExp(`${done} done`));
  await opened.says(/completed/);
  const text = await opened.text();
  for (const words of [
    /Items a second/,
    /Tokens a second/,
    /Realtime latency/,
    /p50 · p99/,
    /Queued items\s+0/,
  ])
    assert.match(text, words);
  for (const words of [
    /2 of 2 ready/,
    /shared-1/,
    /shared-2/,
    /Nothing waits/,
    /a pipeline was free/,
    /Models loaded/,
    /en-zh-embeddings/,
    /completed/,
    /24 \/ 24/,
  ])
    assert.match(text, words);
  assert.equal(await opened.text(".identity strong"), "shop-translate");
  assert.match(await opened.text(".seen"), /^live$/);
  await opened.accessible();

  const [first] = server.views.status().pipelines;
  assert.ok(first !== undefined && first.pid !== null);
  const lane = `[data-pipeline="${first.pipelineId}"]`;
  const killedAtMs = performance.now();
  process.kill(first.pid, "SIGKILL");
  await opened.says(/1 restart|backing-off|starting/, lane);
  // Two seconds at most on a machine that does nothing else: `npm run bench -- page`.
  const seenMs = Math.round(performance.now() - killedAtMs);
  context.diagnostic(`a worker that was killed was seen after ${seenMs} ms`);
  await opened.says(/1 restart, last killed from outside/, lane);
  await until(async () => (await opened.page.locator(`${lane} path.restarted`).count()) === 1);
  await opened.page.goto(`${server.url}/#why`);
  await opened.says(/Nobody has looked|Nothing is wrong|Change/);
});

test("Try asks for a translation and for vectors, and says how to do it elsewhere", {
  skip,
  timeout: 60_000,
}, async () => {
  await using opened = await open(`${server.url}/#try`);
  const { page } = opened;
  await page.locator("textarea").fill("Good morning.\nIt's <i>late</i>.");
  await page.getByRole("button", { name: "Ask" }).click();
  await opened.says(/Where the time went/);
  const text = await opened.text();
  assert.match(text, /\p{Script=Han}/u);
  assert.match(text, /It.s <i>late<\/i>\./, "text, and no HTML");
  for (const words of [
    /prepare/,
    /queue/,
    /compute/,
    /in shared-\d/,
    /curl http/,
    /client\.translate/,
    /millrace translate/,
  ])
    assert.match(text, words);
  await opened.accessible();
  await page.locator("select").selectOption("en-zh-embeddings");
  await page.getByRole("button", { name: "Ask" }).click();
  await opened.says(/vectors of 256 numbers/);
  assert.match(await opened.text(".cosines"), /1\.00/);
});

test("behind a path prefix; a stream that breaks or is kept back is replaced by polls, and taken again", {
  skip,
  timeout: 60_000,
}, async () => {
  await using proxy = await PrefixProxy.start(server.url, "/mill");
  await using opened = await open(proxy.url);
  await opened.says(/^live$/, ".seen");
  proxy.stream = "hold";
  proxy.breakStreams();
  await opened.says(/^live, by asking$/, ".seen");
  const { atMs } = { atMs: server.views.status().uptimeMs };
  await opened.says(/There is no stream/);
  await until(() => server.views.status().uptimeMs > atMs);
  proxy.stream = "pass";
  proxy.breakStreams();
  await opened.says(/^live$/, ".seen");
  await opened.page.goto(`${proxy.url}#try`);
  await opened.page.getByRole("button", { name: "Ask" }).click();
  await opened.says(/Where the time went/);
  assert.match(await opened.text("pre >> nth=0"), /\/mill\/v1\/translate/);
  // Of the streams that the proxy broke.
  opened.expected(/ERR_|Failed to load/);
});

test("where keys are asked for it says so, takes one, and keeps it out of the address", {
  skip,
  timeout: 60_000,
}, async () => {
  await using keys = await Keys.make();
  const admin = await keys.add("operator", { admin: true });
  await using echo = await keys.serve();
  await using opened = await open(echo.server.url);
  await opened.says(/The server asks for a key/);
  await opened.accessible();
  await opened.page.getByRole("textbox", { name: "Key" }).fill(admin);
  await opened.page.getByRole("button", { name: "Look" }).click();
  await opened.says(/Items a second/);
  assert.equal(opened.page.url(), `${echo.server.url}/`);
  // That it was not let in the browser says too.
  opened.expected(/status of 401/);
});

test("light, dark, and on a telephone: nothing is wider than the screen", {
  skip,
  timeout: 60_000,
}, async () => {
  using load = withPictures ? await Load.of(server.url) : null;
  for (const colorScheme of ["light", "dark"] as const) {
    await using opened = await open(server.url, {
      colorScheme,
      viewport: { width: 1400, height: 960 },
    });
    await opened.says(/Items a second/);
    await opened.accessible();
    if (load !== null)
      await opened.page.screenshot({ path: `docs/pictures/page-${colorScheme}.png` });
    await opened.page.setViewportSize({ width: 360, height: 740 });
    await opened.fits();
  }
});
