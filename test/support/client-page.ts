/** The program of a page in docs/clients, run as it stands there. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

/** What it prints; its address is the server's. `marked`: which one, of a page that has several. */
export async function runPage(page: string, url: string, marked = "snippet"): Promise<string> {
  const text = readFileSync(`docs/clients/${page}.md`, "utf8");
  const [, behind = ""] = text.split(`<!-- ${marked} -->`);
  const [, program] = /^\s*```js\n(.*?)```/s.exec(behind) ?? [];
  const address = "http://127.0.0.1:8400";
  assert.ok(program !== undefined && program.includes(address), `${page} has no snippet`);
  const args = ["--input-type=module", "-e", program.replace(address, url)];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  assert.equal(stderr, "");
  return stdout;
}
