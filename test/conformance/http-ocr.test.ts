/** `POST /v1/ocr` over real HTTP, with real graphs in a real worker. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { InferenceClient } from "@huggingface/inference";
import type { OcrOutcome, OcrResponse, OcrResult, StatusResponse } from "millrace-client/wire";
import sharp from "sharp";
import { convertOcr } from "#src/convert/ocr/convert-ocr.js";
import type { MillraceServer } from "#src/index.js";
import { ocrFiles, ReferenceOcr } from "../support/ocr-reference.js";
import { pngOf } from "../support/pictures.js";
import { assertIdle, getStatus, startReal, until } from "../support/real-server.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const picture = (name: string): Buffer => readFileSync(sharedPath("data", "images", "ocr", name));

function textsOf(outcome: OcrOutcome | undefined): string[] {
  assert.ok(outcome !== undefined && "lines" in outcome, JSON.stringify(outcome));
  return outcome.lines.map(({ text }) => text);
}

describe("ocr", { skip: skipWithout("models", "ocr") }, () => {
  let dir: TempDir;
  let server: MillraceServer;

  before(async () => {
    dir = await TempDir.make();
    const { signal } = new AbortController();
    await convertOcr({ ...ocrFiles, outDir: dir.file("models", "pages"), force: false, signal });
    server = await startReal({
      models: dir.file("models"),
      pipelines: 1,
      imagePixelsMax: 2_000_000,
    });
  });
  after(async () => {
    await server?.close();
    await dir?.[Symbol.asyncDispose]();
  });

  async function post(body: Uint8Array | FormData, signal?: AbortSignal): Promise<OcrResponse> {
    const response = await fetch(`${server.url}/v1/ocr`, {
      method: "POST",
      body,
      ...(body instanceof FormData ? {} : { headers: { "content-type": "image/jpeg" } }),
      ...(signal === undefined ? {} : { signal }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as OcrResponse;
  }

  async function read(file: Uint8Array): Promise<OcrResult> {
    const [result] = (await post(file)).results;
    assert.ok(result !== undefined && "lines" in result, JSON.stringify(result));
    return result;
  }

  test("pages are read as one line after the other is, by hand", async () => {
    const reference = await ReferenceOcr.open();
    for (const [name, count] of [
      ["en.jpg", 4],
      ["cl-2.jpg", 2],
      ["text_cls.jpg", 1],
    ] as const) {
      const file = picture(name);
      const wanted = await reference.read(file);
      const { lines, width, height } = await read(file);
      assert.deepEqual(
        lines.map(({ text }) => text),
        wanted.map(({ text }) => text),
        name,
      );
      assert.equal(lines.length, count);
      for (const [at, { score, box }] of lines.entries()) {
        assert.ok(Math.abs(score - (wanted[at]?.score ?? 0)) < 1e-4, `${name}, line ${at}`);
        for (const [x, y] of box) assert.ok(x >= 0 && y >= 0 && x < width && y < height);
      }
    }
    assert.match(
      textsOf((await post(picture("en.jpg"))).results[0]).join(" "),
      /dataset are specified/,
    );
  });

  test("sixteen callers at once get what they get alone", async () => {
    const names = ["cl-2.jpg", "text_rec.jpg", "text_cls.jpg", "cl-3.jpg", "en_rec.jpg"];
    const alone = new Map<string, OcrResult>();
    for (const name of names) alone.set(name, await read(picture(name)));
    await Promise.all(
      Array.from({ length: 16 }, async (_, caller) => {
        const name = names[caller % names.length] ?? "";
        const [found, wanted] = [await read(picture(name)), alone.get(name)];
        assert.deepEqual(
          found.lines.map(({ text, box }) => ({ text, box })),
          wanted?.lines.map(({ text, box }) => ({ text, box })),
          name,
        );
        for (const [at, { score }] of found.lines.entries()) {
          assert.ok(Math.abs(score - (wanted?.lines[at]?.score ?? 0)) < 1e-4, name);
        }
      }),
    );
  });

  test("a page is read the same however it is stored turned, and also upside down", async () => {
    const upright = await sharp(picture("text_rec.jpg")).png().toBuffer();
    const wanted = await read(upright);
    for (const [orientation, degrees] of [
      [3, 180],
      [6, 270],
      [8, 90],
    ] as const) {
      const stored = await sharp(upright)
        .rotate(degrees)
        .withMetadata({ orientation })
        .png()
        .toBuffer();
      const { width, height } = await sharp(stored).metadata();
      assert.equal(orientation === 3, width === wanted.width && height === wanted.height);
      assert.deepEqual(await read(stored), wanted, `orientation ${orientation}`);
    }
    const sign = await sharp(picture("issue_170.png")).resize(320).png().toBuffer();
    const over = await sharp(sign).rotate(180).png().toBuffer();
    assert.deepEqual(textsOf(await read(over)), textsOf(await read(sign)));
    const side = await sharp(sign).rotate(90).png().toBuffer();
    assert.deepEqual(textsOf(await read(side)), textsOf(await read(sign)));
  });

  test("Hugging Face's client gets the lines of a page in one text", async () => {
    const page = picture("text_cls.jpg");
    const { lines } = await read(page);
    const text = lines.map((line) => line.text).join("\n");
    const client = new InferenceClient("hf_any").endpoint(`${server.url}/models/pages`);
    const blob = new Blob([new Uint8Array(page)], { type: "image/jpeg" });
    assert.deepEqual(await client.imageToText({ inputs: blob }), { generated_text: text });
    const reply = await fetch(`${server.url}/models/pages`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs: page.toString("base64") }),
    });
    assert.deepEqual(await reply.json(), { generated_text: text });
  });

  test("a picture that is none, is cut or too large fails alone", async () => {
    const good = picture("text_cls.jpg");
    const form = new FormData();
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><text y="9">hi</text></svg>';
    const parts = [good, good.subarray(0, good.length / 2), svg, pngOf(50_000, 50_000, 9), good];
    for (const part of parts) form.append("images", new Blob([part]), "a.jpg");
    form.append("class", "bulk");
    const { results } = await post(form);
    const codes = results.map((result) => ("error" in result ? result.error.code : "ok"));
    assert.deepEqual(codes, ["ok", "image_invalid", "image_invalid", "image_invalid", "ok"]);
    assert.deepEqual(results[0], results[4]);
    const blank = sharp({ create: { width: 90, height: 60, channels: 3, background: "white" } });
    assert.deepEqual(await read(await blank.png().toBuffer()), {
      width: 90,
      height: 60,
      lines: [],
    });
  });

  test("callers who leave take nothing along", async () => {
    const leaving = Array.from({ length: 8 }, async (_, caller) => {
      const stop = new AbortController();
      const reply = post(picture("cl-2.jpg"), stop.signal);
      setImmediate(() => setImmediate(() => caller % 2 === 0 && stop.abort()));
      return await reply.then(
        () => "read",
        () => "left",
      );
    });
    const ends = await Promise.all(leaving);
    assert.equal(ends.filter((end) => end === "read").length, 4);
    const idle = async (): Promise<StatusResponse | null> => {
      const status = await getStatus(server.url);
      const isIdle = status.pipelines.every(
        ({ items, cacheBytes }) => items.inFlight === 0 && cacheBytes === 0,
      );
      return isIdle && status.requests.active === 0 ? status : null;
    };
    assertIdle(await until(idle));
  });
});
