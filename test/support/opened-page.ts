/** A page in a real browser, and all that the browser complains of. */
import assert from "node:assert/strict";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { until } from "./until.js";

/** Whatever the browser complains of, violations of the content security policy among it, fails the test that closes it. */
export class OpenedPage implements AsyncDisposable {
  readonly page: Page;
  #complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning")
        this.#complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.#complaints.push(error.message));
  }

  static async at(
    browser: Browser,
    url: string,
    settings: Parameters<Browser["newPage"]>[0] = {},
  ): Promise<OpenedPage> {
    const page = await browser.newPage({ reducedMotion: "reduce", ...settings });
    const opened = new OpenedPage(page);
    await page.goto(url);
    return opened;
  }

  text(selector = "main"): Promise<string> {
    return this.page.locator(selector).innerText();
  }

  /** Until it says so. */
  async says(pattern: RegExp, selector = "main"): Promise<void> {
    await until(async () => pattern.test(await this.text(selector)));
  }

  /** Those that are not shown too. */
  async accessible(): Promise<void> {
    // The page's policy lets no script in; the test's stands beside it.
    await this.page.evaluate(axe.source);
    const found = await this.page.evaluate(
      `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map((each) => each.html).join(" ")))`,
    );
    assert.deepEqual(found, []);
  }

  /** Nothing of it is wider than the window. */
  async fits(): Promise<void> {
    const [inner, all] = (await this.page.evaluate(
      "[document.documentElement.clientWidth, document.documentElement.scrollWidth]",
    )) as [number, number];
    assert.ok(all <= inner, `${all} px in a window of ${inner}`);
  }

  /** What the browser said of these is right: a server refused, or was away. There must have been one. */
  expected(pattern: RegExp): void {
    const others = this.#complaints.filter((each) => !pattern.test(each));
    assert.ok(others.length < this.#complaints.length, `the browser said nothing like ${pattern}`);
    this.#complaints = others;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close();
    assert.deepEqual(this.#complaints, []);
  }
}
