/** Debian's Chromium, where it is installed; CI has it. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const found = (process.env["PATH"] ?? "")
  .split(delimiter)
  .map((dir) => join(dir, "chromium"))
  .find((path) => existsSync(path));

/** For `test(name, { skip: skipWithoutBrowser }, …)`. */
export const skipWithoutBrowser: string | false =
  found === undefined ? "there is no chromium on the PATH (Debian's package chromium)" : false;

/** The caller closes it. */
export async function launchBrowser(): Promise<Browser> {
  if (found === undefined) throw new Error("ask skipWithoutBrowser first");
  // As root, in a container, it has no sandbox of its own. A limit of renderers has it start none to spare, half of all.
  const args = ["--no-sandbox", "--disable-gpu", "--renderer-process-limit=1"];
  return await chromium.launch({ executablePath: found, args });
}
