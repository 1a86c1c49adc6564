/** The page in a real browser where all is not well, or much: large deployments, long names, keys that go, servers that restart. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { createServer } from "#src/index.js";
import { launchBrowser, skipWithoutBrowser } from "../support/browser.js";
import { startEcho } from "../support/echo-server.js";
import { Keys } from "../support/keys.js";
import { largeDeployment, madeDeployment } from "../support/made-deployment.js";
import { type MadeLook, MadeLooks } from "../support/made-looks.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { OpenedPage } from "../support/opened-page.js";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

const limit = { timeout: 60_000 };
/** Looks come faster than a server's, so that no test waits for them. */
const everyMs = 100;
const nothing = { pipelines: 0, models: 0, tenants: 0, nodes: 0, jobs: 0, findings: 0 };
const some = { pipelines: 2, models: 5, tenants: 5, nodes: 5, jobs: 5, findings: 2 };
const telephone = { viewport: { width: 360, height: 740 } };

let browser: Browser;

before(async () => {
  if (skipWithoutBrowser === false) browser = await launchBrowser();
});

after(async () => {
  if (skipWithoutBrowser === false) await browser.close();
});

function elementsOf({ page }: OpenedPage): Promise<number> {
  return page.evaluate("document.querySelectorAll('*').length");
}

describe("the page", { skip: skipWithoutBrowser }, () => {
  test(
    "of a large deployment: what is not well first, what is left out said, and all to be seen",
    limit,
    async () => {
      await using made = await MadeLooks.start(madeDeployment(largeDeployment));
      await using opened = await OpenedPage.at(browser, made.url);
      await opened.says(/and 188 more/);
      await opened.says(/The newest 20; older ones/);
      const text = await opened.text();
      for (const words of [
        /61 of 64 ready/,
        /and 52 more/,
        /94 of 100 ready/,
        /and 88 more/,
        /of a class the 32 with most items/,
        /broken-model/,
      ])
        assert.match(text, words);
      assert.match(await opened.text(".lanes > li >> nth=0"), /backing-off/);
      await opened.page.getByRole("button", { name: "Show 200 of Models" }).press("Enter");
      await opened.says(/model-200/);
      await opened.says(/model-1\b/);
      assert.match(await opened.text(".badge"), /^12$/);
      await opened.accessible();
      await opened.page.getByRole("button", { name: "Show fewer of Models" }).click();
      await until(async () => !/model-200/.test(await opened.text()));
      await opened.page.getByRole("link", { name: "Why" }).press("Enter");
      await opened.says(/number 12 holds work up/);
      assert.equal(
        await opened.page.locator(".finding dd code").first().innerText(),
        "--pipelines 6",
      );
      await opened.accessible();
    },
  );

  test(
    "with nothing in it, and with names of any length and script, on a telephone",
    limit,
    async () => {
      const names = {
        model: "a-model-whose-name-is-as-long-as-those-of-the-hub-finetuned-int8-2026",
        tenant: "会计部门的一个非常非常长的租户名称没有空格的那种",
        node: "עברית-node-with-a-very-long-hostname.internal.example.org",
        pipeline: "a-pipeline-with-a-long-name",
      } as const;
      const named = madeDeployment({ ...some, nameOf: (kind, at) => `${names[kind]}-${at}` });
      let look: (at: number) => MadeLook = madeDeployment(nothing);
      await using made = await MadeLooks.start((at) => look(at), everyMs);
      await using opened = await OpenedPage.at(browser, made.url, telephone);
      await opened.says(/No model is served/);
      assert.doesNotMatch(await opened.text(), /NaN|undefined|Infinity/);
      await opened.fits();
      await opened.accessible();
      look = named;
      await opened.says(/租户名称/);
      for (const tab of ["now", "why", "try"]) {
        await opened.page.goto(`${made.url}#${tab}`);
        await opened.fits();
      }
      await opened.accessible();
    },
  );

  test("open for long it grows no more, and hidden it asks for nothing", limit, async () => {
    await using made = await MadeLooks.start(madeDeployment(some), 10);
    await using opened = await OpenedPage.at(browser, made.url, { reducedMotion: null });
    await until(() => made.written > 150);
    const elements = await elementsOf(opened);
    const before = made.written;
    await until(() => made.written > before + 250);
    assert.ok(Math.abs((await elementsOf(opened)) - elements) < 20);
    const hide = (hidden: boolean): Promise<unknown> =>
      opened.page.evaluate(
        `Object.defineProperty(document, "hidden", { configurable: true, value: ${hidden} });
        document.dispatchEvent(new Event("visibilitychange"))`,
      );
    await hide(true);
    await until(() => made.readers === 0);
    await hide(false);
    await until(() => made.readers === 1);
    await opened.says(/^live$/, ".seen");
  });

  test(
    "of a server that drains, ends and is started again: said, and seen again by itself",
    limit,
    async () => {
      let state: "ready" | "draining" = "ready";
      const look = madeDeployment(nothing);
      const stated = (at: number): MadeLook => {
        const made = look(at);
        return { ...made, status: { ...made.status, state } };
      };
      await using made = await MadeLooks.start(stated, everyMs);
      await using draining = await OpenedPage.at(browser, made.url);
      await draining.says(/ready/, ".identity");
      state = "draining";
      await draining.says(/draining/, ".identity");
      await draining.says(/The server is draining/, "[role=status]");

      const first = await startEcho();
      const { port } = new URL(first.server.url);
      await using opened = await OpenedPage.at(browser, first.server.url);
      await opened.says(/^live$/, ".seen");
      await first[Symbol.asyncDispose]();
      await opened.says(/The server does not answer/);
      await opened.accessible();
      await using _second = await startEcho({ port: Number(port) });
      await opened.says(/^live$/, ".seen");
      await until(async () => !/does not answer/.test(await opened.text()));
      opened.expected(/ERR_|Failed to load/);
    },
  );

  test("defect: with a key that is taken away it shows no more, at once", limit, async () => {
    await using keys = await Keys.make();
    const admin = await keys.add("operator", { admin: true });
    await keys.add("other", { admin: true });
    await using echo = await keys.serve();
    await using opened = await OpenedPage.at(browser, echo.server.url);
    const give = async (key: string): Promise<void> => {
      await opened.page.getByRole("textbox", { name: "Key" }).fill(key);
      await opened.page.getByRole("button", { name: "Look" }).click();
    };
    await give("wrong");
    await opened.says(/does not know that key/);
    await give(admin);
    await opened.says(/Items a second/);
    await keys.revoke("operator");
    await opened.says(/The server asks for a key/);
    assert.doesNotMatch(await opened.text(), /Items a second/);
    opened.expected(/status of 401/);
  });

  test("of an edge: its nodes, as it hears of them", {
    ...limit,
    skip: skipWithoutNats,
  }, async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.file("look-up.onnx"), lookUp);
    await using nats = await NatsServer.start();
    const common = { models: dir.path, port: 0, logLevel: "silent", nats: nats.url } as const;
    const worker = { pipelines: 1, threads: 1, role: "node", node: "worker-1" } as const;
    await using _node = await createServer({ ...common, ...worker });
    await using edge = await createServer({ ...common, role: "edge", node: "edge-1" });
    await using opened = await OpenedPage.at(browser, edge.url);
    await opened.says(/worker-1\s+ready\s+node\s+1/);
    await opened.says(/This server has no pipelines: its nodes do the work/);
    await opened.says(/look-up/);
    assert.doesNotMatch(await opened.text(), /NaN|undefined/);
    await opened.accessible();
    await opened.page.goto(`${edge.url}/#try`);
    await until(async () => (await opened.page.locator("textarea").count()) > 0);
    await opened.page.getByRole("button", { name: "Ask" }).click();
    await opened.says(/Where the time went/);
    await opened.says(/FP32 \[1\]/);
  });

  test(
    "by keys alone: to each part, a text written, asked, and the answer reached",
    limit,
    async () => {
      await using echo = await startEcho();
      await using opened = await OpenedPage.at(browser, echo.server.url);
      const { keyboard } = opened.page;
      const reach = (what: string): Promise<true> =>
        until(async () => {
          await keyboard.press("Tab");
          return (
            (await opened.page.evaluate(
              `document.activeElement?.matches(${JSON.stringify(what)})`,
            )) === true
          );
        });
      await opened.says(/Items a second/);
      await reach("a[href='#try']");
      const outline = await opened.page.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle",
      );
      assert.equal(outline, "solid", "what has the focus is seen");
      await keyboard.press("Enter");
      await opened.says(/Model/);
      await reach("textarea");
      await keyboard.press("Control+a");
      await keyboard.type("by hand");
      await reach("button[type=submit]");
      await keyboard.press("Enter");
      echo.submit.release();
      await opened.says(/Where the time went/);
      await reach(".snippet pre");
    },
  );
});
