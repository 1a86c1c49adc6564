/** The page in a real browser, against keys that cannot be sent and servers that say what no Millrace does. */
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { launchBrowser, skipWithoutBrowser } from "../support/browser.js";
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
});
