/** The page in a real browser, against keys that cannot be sent and servers that say what no Millrace does. */
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { liveSampleOf } from "#src/metrics/live-sample.js";
import { launchBrowser, skipWithoutBrowser } from "../support/browser.js";
import { startEcho } from "../support/echo-server.js";
import { Keys } from "../support/keys.js";
import { madeDeployment } from "../support/made-deployment.js";
import { type MadeLook, MadeLooks } from "../support/made-looks.js";
import { OpenedPage } from "../support/opened-page.js";
import { until } from "../support/until.js";

const limit = { timeout: 60_000 };
const everyMs = 100;
const some = { pipelines: 2, models: 5, tenants: 5, nodes: 5, jobs: 5, findings: 2 };

let browser: Browser;

before(async () => {
  if (skipWithoutBrowser === false) browser = await launchBrowser();
});

after(async () => {
  if (skipWithoutBrowser === false) await browser.close();
});

describe("the page", { skip: skipWithoutBrowser }, () => {
  test(
    "attack: a key that no header can carry is refused, and another one may be given",
    limit,
    async () => {
      await using keys = await Keys.make();
      const admin = await keys.add("operator", { admin: true });
      await using echo = await keys.serve();
      await using opened = await OpenedPage.at(browser, echo.server.url);
      const give = async (key: string): Promise<void> => {
        await opened.page.getByRole("textbox", { name: "Key" }).fill(key);
        await opened.page.getByRole("button", { name: "Look" }).click();
      };
      await give("“ключ”");
      await opened.says(/no key/);
      await give(`  ${admin} `);
      await opened.says(/Items a second/);
      opened.expected(/status of 401/);
    },
  );

  test(
    "attack: of a server whose status is another one's it says so, and recovers",
    limit,
    async () => {
      let isStrange = false;
      const look = madeDeployment(some);
      const strange = (at: number): MadeLook => {
        const made = look(at);
        if (!isStrange) return made;
        const { deployment } = made.status;
        const status = { ...made.status, deployment: { ...deployment, version: "9.0.0" } };
        return { ...made, status: { ...status, batches: undefined } as never };
      };
      await using made = await MadeLooks.start(strange, everyMs);
      await using opened = await OpenedPage.at(browser, made.url);
      await opened.says(/Items a second/);
      isStrange = true;
      await opened.says(/cannot show what the server tells/);
      await opened.says(/another version than this page/);
      isStrange = false;
      await opened.says(/Items a second/);
      await until(async () => !/another version|cannot show/.test(await opened.text()));
    },
  );

  test("attack: a history that takes long on its way is no silence", limit, async () => {
    const made = madeDeployment(some)(1);
    const look = { ...made, sample: liveSampleOf(made.status, 1), findings: [] };
    await using echo = await startEcho();
    const streams: ServerResponse[] = [];
    const server = createServer((asked, reply) => void answer(asked.url ?? "", reply));
    const answer = async (path: string, reply: ServerResponse): Promise<void> => {
      if (path === "/status") return void reply.writeHead(503).end();
      if (path === "/status/events") {
        reply.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
        streams.push(reply);
        return;
      }
      const got = await fetch(new URL(path, echo.server.url));
      reply.writeHead(got.status, { "content-type": got.headers.get("content-type") ?? "" });
      reply.end(Buffer.from(await got.arrayBuffer()));
    };
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    try {
      await using opened = await OpenedPage.at(browser, "about:blank");
      await opened.page.clock.install();
      await opened.page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await until(() => Promise.resolve(streams.length > 0));
      const pieces = ["event: history\n", 'data: {"everyMs":1,', '"samples":[]}', "\n\n"];
      for (const piece of [...pieces, `event: status\ndata: ${JSON.stringify(look)}\n\n`]) {
        streams[0]?.write(piece);
        // The clock is the page's own; what was written is there before it goes on.
        await opened.page.evaluate("fetch('live').then((reply) => reply.text())");
        await opened.page.clock.runFor(3_000);
      }
      await opened.says(/Items a second/);
      assert.match(await opened.text(".seen"), /^live$/);
      assert.equal(streams.length, 1);
      // It keeps no jobs.
      opened.expected(/status of 501/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
