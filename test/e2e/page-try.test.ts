/** The page's Try in a real browser: every task on a real worker, its errors, and the lines to copy, which are run. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { convertOcr } from "#src/convert/ocr/convert-ocr.js";
import type { MillraceServer } from "#src/index.js";
import { launchBrowser, skipWithoutBrowser } from "../support/browser.js";
import { writeColourClassifier } from "../support/colour-classifier.js";
import { type Finished, finish } from "../support/finish.js";
import { Keys } from "../support/keys.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { ocrFiles } from "../support/ocr-reference.js";
import { OpenedPage } from "../support/opened-page.js";
import { quarters } from "../support/pictures.js";
import { startReal, until } from "../support/real-server.js";
import { millrace } from "../support/serve-process.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };
const client = fileURLToPath(new URL("../../../node_modules/millrace-client", import.meta.url));
const hasOcr = skipWithout("models", "ocr") === false;
/** Of one colour, and with a name that a shell, curl and JavaScript all have to be told with care. */
const redName = `red "one" it's.png`;
const pictureBytesMax = 300_000;

let temp: TempDir;
let server: MillraceServer;
let browser: Browser;

before(async () => {
  if (skipWithoutBrowser !== false) return;
  temp = await TempDir.make();
  const models = temp.file("models");
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(temp.file("models", "feeling"), { labels: ["good", "bad"] });
  await writeMadeEncoder(temp.file("models", "rank"), rank);
  writeColourClassifier(temp.file("models", "colours"));
  await writeFile(temp.file("models", "look-up.onnx"), lookUp);
  await writeFile(temp.file(redName), await quarters(8, 8).resize(3, 3).png().toBuffer());
  if (hasOcr) {
    const { signal } = new AbortController();
    await convertOcr({ ...ocrFiles, outDir: temp.file("models", "pages"), force: false, signal });
  }
  await makeWorkplace();
  server = await startReal({ models, pipelines: 1, imageBodyBytesMax: pictureBytesMax });
  browser = await launchBrowser();
});

after(async () => {
  if (skipWithoutBrowser !== false) return;
  await browser.close();
  await server.close();
  await temp[Symbol.asyncDispose]();
});

/** Where the lines are run: as in a terminal with Millrace installed. */
async function makeWorkplace(): Promise<void> {
  await mkdir(temp.file("node_modules"));
  await symlink(client, temp.file("node_modules", "millrace-client"), "dir");
  await mkdir(temp.file("bin"));
  const command = `#!/bin/sh\nexec '${process.execPath}' '${millrace}' "$@"\n`;
  await writeFile(temp.file("bin", "millrace"), command);
  await chmod(temp.file("bin", "millrace"), 0o755);
}

/** What the page says of doing the same elsewhere, done. */
async function runSnippets(opened: OpenedPage, key = ""): Promise<[unknown, string, string]> {
  const [curl = "", javascript = "", command = ""] = await opened.page
    .locator(".snippet pre")
    .allInnerTexts();
  const script = temp.file(`${Math.random().toString(36).slice(2)}.mjs`);
  await writeFile(script, javascript);
  const { MILLRACE_URL: _url, MILLRACE_CONFIG: _file, ...usual } = process.env;
  const env = { ...usual, MILLRACE_KEY: key, PATH: `${temp.file("bin")}:${usual["PATH"] ?? ""}` };
  const run = async (file: string, ...args: string[]): Promise<string> => {
    const child = spawn(file, args, { cwd: temp.path, env, stdio: ["ignore", "pipe", "pipe"] });
    const { out, err, code }: Finished = await finish(child);
    assert.equal(code, 0, `${args.join(" ")}\n${out}\n${err}`);
    return out;
  };
  const [answered, printed, said] = await Promise.all([
    run("sh", "-c", curl.replace("curl ", "curl -sS ")),
    run(process.execPath, script),
    run("sh", "-c", command),
  ]);
  return [JSON.parse(answered), printed, said];
}

async function choose(opened: OpenedPage, model: string): Promise<void> {
  await until(async () => (await opened.page.locator("select option").count()) > 0);
  await opened.page.locator("select").selectOption(model);
}

async function ask(opened: OpenedPage, texts: string): Promise<void> {
  await opened.page.locator("textarea").fill(texts);
  await opened.page.getByRole("button", { name: "Ask" }).click();
  await opened.says(/Where the time went/);
}

/** Of that very request: where it ran, and steps that together are the whole. */
async function assertWaterfall(opened: OpenedPage): Promise<void> {
  const text = await opened.text(".waterfall");
  for (const words of [/prepare/, /queue/, /compute/, /on the way/, /1 in shared-1/])
    assert.match(text, words);
  const widths = (await opened.page.evaluate(
    `[...document.querySelectorAll(".waterfall .step")].map(({ style }) => [parseFloat(style.left), parseFloat(style.width)])`,
  )) as [number, number][];
  assert.equal(widths.length, 6);
  let from = 0;
  for (const [left, width] of widths) {
    assert.ok(Math.abs(left - from) < 0.01 && width >= 0, `${left} behind ${from}`);
    from = left + width;
  }
  assert.ok(Math.abs(from - 100) < 0.01, `all of it is ${from}%`);
}

/** As a hand would, with what it holds. */
async function drop(opened: OpenedPage, name: string, bytes: Buffer): Promise<void> {
  const dataTransfer = await opened.page.evaluateHandle(`(() => {
    const bytes = Uint8Array.from(atob("${bytes.toString("base64")}"), (each) => each.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], ${JSON.stringify(name)}));
    return held;
  })()`);
  await opened.page.dispatchEvent(".drop", "dragover", { dataTransfer });
  await opened.page.dispatchEvent(".drop", "drop", { dataTransfer });
}

describe("Try", { skip: skipWithoutBrowser }, () => {
  test(
    "labels of texts, and the same by curl, in JavaScript and by the command",
    limit,
    async () => {
      await using opened = await OpenedPage.at(browser, `${server.url}/#try`);
      await choose(opened, "feeling");
      await ask(opened, "good world\nbad 'hello'");
      assert.match(await opened.text(".labels"), /good world[\s\S]*good[\s\S]*%[\s\S]*bad 'hello'/);
      await opened.says(/2 in shared-1/);
      await opened.accessible();
      const [answered, printed, said] = await runSnippets(opened);
      const { results } = answered as {
        readonly results: readonly { readonly labels: object[] }[];
      };
      assert.deepEqual(
        results.map(({ labels }) => labels.length),
        [2, 2],
      );
      assert.match(printed, /label: 'good'/);
      assert.equal(said.trim().split("\n").length, 2);
      assert.match(said, /"text":"bad 'hello'"/);
    },
  );

  test("texts in the order of their scores, and the same elsewhere", limit, async () => {
    await using opened = await OpenedPage.at(browser, `${server.url}/#try`);
    await choose(opened, "rank");
    await opened.page.getByLabel("Query").fill("hello $HOME");
    await ask(opened, "good a\nbad b\nworld");
    const scores = await opened.page.locator(".answer table td.number").allInnerTexts();
    assert.deepEqual(
      scores.map(Number),
      scores.map(Number).toSorted((a, b) => b - a),
    );
    assert.equal(scores.length, 3);
    const [answered, printed, said] = await runSnippets(opened);
    const { results } = answered as { readonly results: readonly { readonly score: number }[] };
    const wanted = results.map(({ score }) => score.toFixed(4));
    assert.deepEqual(wanted.toSorted().toReversed(), scores.toSorted().toReversed());
    assert.match(printed, /score: /);
    assert.equal(said.trim().split("\n").length, 3);
  });

  test(
    "tensors: a form made of what the model takes; JSON that is none, and a wrong index",
    limit,
    async () => {
      await using opened = await OpenedPage.at(browser, `${server.url}/#try`);
      await choose(opened, "look-up");
      assert.match(await opened.page.locator("textarea").inputValue(), /"shape": \[\s+1\s+\]/);
      await opened.page.locator("textarea").fill("{");
      await opened.page.getByRole("button", { name: "Ask" }).click();
      await opened.says(/JSON/);
      await ask(opened, '{"at": {"shape": [3], "data": [2, 3, 1]}}');
      assert.match(await opened.text(".answer table"), /found\s+FP32 \[3\]\s+4, 9, 1/);
      await assertWaterfall(opened);
      const [answered, printed] = await runSnippets(opened);
      assert.match(JSON.stringify(answered), /"data":\[4,9,1\]/);
      assert.match(printed, /results/);
      await ask(opened, '{"at": {"shape": [2], "data": [1]}}');
      await opened.says(/FP32 \[2\]/);
      assert.match(await opened.text(".answer table"), /1, 1/, "one number stands for all");
      await opened.page.locator("textarea").fill('{"at": {"shape": [1], "data": [70]}}');
      await opened.page.getByRole("button", { name: "Ask" }).click();
      await opened.says(/item_failed|item_poison/);
      await opened.page.locator("textarea").fill('{"at": {"shape": [1], "data": ["x"]}}');
      await opened.page.getByRole("button", { name: "Ask" }).click();
      await opened.says(/tensor_invalid/);
    },
  );

  test(
    "a picture that is dropped, one that is chosen by keys, and the same elsewhere",
    limit,
    async () => {
      await using opened = await OpenedPage.at(browser, `${server.url}/#try`);
      await choose(opened, "colours");
      await drop(opened, redName, await readFile(temp.file(redName)));
      await opened.says(/Where the time went/);
      assert.match(await opened.text(".labels"), /red|green|blue/);
      assert.equal(await opened.page.locator(".drop img").count(), 1);
      await assertWaterfall(opened);
      await opened.accessible();
      const [answered, printed, said] = await runSnippets(opened);
      assert.match(JSON.stringify(answered), /"label":"blue"/);
      assert.match(printed, /label: 'blue'/);
      assert.match(said, /"label":"blue"/);
      const chooser = opened.page.waitForEvent("filechooser");
      await opened.page.getByLabel(/choose one/).focus();
      await opened.page.keyboard.press("Enter");
      await (await chooser).setFiles({
        name: "second.png",
        mimeType: "image/png",
        buffer: await quarters(16, 16).png().toBuffer(),
      });
      await opened.says(/second\.png/, "pre >> nth=0");
      await opened.says(/second\.png/, ".drop");
    },
  );

  test(
    "defect: pictures that are none, that are too large; and a model that is gone",
    limit,
    async () => {
      await using opened = await OpenedPage.at(browser, `${server.url}/#try`);
      await choose(opened, "colours");
      await drop(opened, "notes.txt", Buffer.from("no picture"));
      await opened.says(/image_invalid/);
      assert.equal(await opened.page.locator(".drop img").count(), 0, "the browser cannot show it");
      await drop(opened, "large.png", Buffer.alloc(pictureBytesMax * 4, 7));
      await opened.says(/body_too_large/);
      await opened.accessible();
      await opened.page.route("**/v1/classify", async (route) => {
        const form = route.request().postDataBuffer()?.toString("latin1") ?? "";
        const postData = Buffer.from(form.replace("colours", "no-such-model"), "latin1");
        await route.continue({ postData });
      });
      await drop(opened, redName, await readFile(temp.file(redName)));
      await opened.says(/model_not_found/);
      opened.expected(/status of 4|ERR_/);
    },
  );

  test("text on a picture", { ...limit, skip: skipWithout("models", "ocr") }, async () => {
    await using opened = await OpenedPage.at(browser, `${server.url}/#try`);
    await choose(opened, "pages");
    const file = await readFile(sharedPath("data", "images", "ocr", "en_rec.jpg"));
    await writeFile(temp.file("en_rec.jpg"), file);
    await drop(opened, "en_rec.jpg", file);
    await opened.says(/Where the time went/);
    assert.match(await opened.text(".answer table"), /\w{3}.*\s+\d+%/);
    await assertWaterfall(opened);
    await opened.accessible();
    const [answered, printed, said] = await runSnippets(opened);
    const text = /"text":"([^"]+)"/.exec(JSON.stringify(answered))?.[1] ?? "?";
    for (const each of [printed, said, await opened.text(".answer table")])
      assert.ok(each.includes(text), `${text} in ${each}`);
  });

  test(
    "with a key of no operator it can be tried, and nothing can be seen; without one neither",
    limit,
    async () => {
      await using keys = await Keys.make();
      const own = await keys.add("caller", { models: ["feeling"] });
      const models = temp.file("models");
      await using keyed = await startReal({ models, pipelines: 1, keys: keys.path });
      await using opened = await OpenedPage.at(browser, `${keyed.url}/#try`);
      await opened.says(/The server asks for a key/);
      const give = async (key: string): Promise<void> => {
        await opened.page.getByRole("textbox", { name: "Key" }).fill(key);
        await opened.page.getByRole("button", { name: "Use it" }).click();
      };
      await give("wrong");
      await opened.says(/does not know that key/);
      await give(own);
      await until(async () => (await opened.page.locator("select option").count()) === 1);
      await ask(opened, "good");
      await opened.says(/1 in shared-1/);
      const [, , said] = await runSnippets(opened, own);
      assert.match(said, /"label":"good"/);
      await opened.page.goto(`${keyed.url}/#now`);
      await opened.says(/This key may not look on/);
      await opened.accessible();
      await keys.revoke("caller");
      await opened.page.goto(`${keyed.url}/#try`);
      await until(async () => {
        await opened.page.getByRole("button", { name: "Ask" }).click();
        return /unauthenticated/.test(await opened.text());
      });
      opened.expected(/status of 40[13]/);
    },
  );
});
