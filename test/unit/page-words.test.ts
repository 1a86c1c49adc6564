/** What the page says of a request, read back by who is meant to read it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { snippetsOf } from "../../page/try/asking.js";
import { shellQuoted, sourceOf } from "../../page/try/quoting.js";

const hostile = [
  "plain",
  "it's",
  `"$HOME" \`id\` \\ !`,
  "a\nb",
  "-n",
  "",
  "’ 你好 \u2028",
  "'; rm -rf / #",
];

test("a shell reads the words back as they were", () => {
  const read = execFileSync("sh", ["-c", `printf '%s\\0' ${hostile.map(shellQuoted).join(" ")}`]);
  assert.deepEqual(read.toString().split("\0").slice(0, -1), hostile);
});

test("JavaScript reads them back too", () => {
  const read = String(runInNewContext(`JSON.stringify(${sourceOf(hostile)})`));
  assert.deepEqual(JSON.parse(read), hostile);
});

test("what curl would send is what the page sends", () => {
  const { curl } = snippetsOf(
    { task: "translate", model: "en-zh", texts: hostile },
    { url: "http://127.0.0.1:8400/mill", hasKey: true },
  );
  const script = `curl() { printf '%s\\0' "$@"; }\n${curl}`;
  const read = execFileSync("sh", ["-c", script], { env: { ...process.env, MILLRACE_KEY: "k" } });
  const args = read.toString().split("\0");
  assert.equal(args[0], "http://127.0.0.1:8400/mill/v1/translate");
  assert.ok(args.includes("Authorization: Bearer k"));
  const body: unknown = JSON.parse(args[args.indexOf("-d") + 1] ?? "");
  assert.deepEqual(body, { model: "en-zh", texts: hostile });
});

test("the command reads the texts, also where one looks like a flag", () => {
  const { command } = snippetsOf(
    { task: "rerank", model: "m", query: "-q", texts: ["it's", "two"] },
    { url: "http://h", hasKey: false },
  );
  const script = `millrace() { printf '%s\\0' "$@"; cat; }\n${command}`;
  const read = execFileSync("sh", ["-c", script]).toString().split("\0");
  assert.deepEqual(read, [
    "rerank",
    "--url",
    "http://h",
    "--model",
    "m",
    "--",
    "-q",
    "-",
    "it's\ntwo\n",
  ]);
});
