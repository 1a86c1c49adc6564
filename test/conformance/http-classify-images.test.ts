/** `POST /v1/classify` with pictures: a plain graph and a few lines of millrace.json, against the same by hand. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { ClassifyResponse, ClassifyResult } from "millrace-client/wire";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp, { type Sharp } from "sharp";
import type { MillraceServer } from "#src/index.js";
import { exifTurns } from "../support/exif-turns.js";
import { startReal } from "../support/real-server.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const names = ["croco.jpg", "dog.jpg", "kitten.jpg"];
const photo = (name: string): Buffer => readFileSync(sharedPath("data", "images", "photos", name));
const modelDir = sharedPath("models", "squeezenet1.0");
const [size, side] = [256, 227];

/** The whole file. */
const manifest = {
  manifestVersion: 2,
  task: "classify",
  engine: "staged",
  program: "image-classifier",
  files: { graph: "model.onnx" },
  labels: "index_to_name.json",
  resize: { to: "shorter-side", size },
  crop: { width: side, height: side },
  channels: "bgr",
  scale: 1,
  mean: [104, 117, 123],
  std: [1, 1, 1],
  scores: "identity",
};

interface Rgb {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

async function raw(picture: Sharp): Promise<Rgb> {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

/** Bilinear with the support widened to the scale, in one direction: what PIL and torchvision (antialias) do. */
function resampled({ data, width, height }: Rgb, along: "width" | "height", length: number): Rgb {
  const from = along === "width" ? width : height;
  const scale = from / length;
  const support = Math.max(1, scale);
  const out = along === "width" ? { width: length, height } : { width, height: length };
  const result = new Uint8Array(out.width * out.height * 3);
  for (let at = 0; at < length; at += 1) {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.round(centre - support));
    const last = Math.min(from, Math.round(centre + support));
    const weights = Array.from({ length: last - first }, (_, tap) =>
      Math.max(0, 1 - Math.abs((first + tap + 0.5 - centre) / support)),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const others = along === "width" ? height : width;
    for (let other = 0; other < others; other += 1) {
      for (let colour = 0; colour < 3; colour += 1) {
        let value = 0;
        for (const [tap, weight] of weights.entries()) {
          const place =
            along === "width" ? other * width + first + tap : (first + tap) * width + other;
          value += (data[place * 3 + colour] ?? 0) * weight;
        }
        const to = along === "width" ? other * length + at : at * width + other;
        result[to * 3 + colour] = Math.round(value / sum);
      }
    }
  }
  return { ...out, data: result };
}

/** How a picture becomes its middle 227 × 227. */
type Resize = (picture: Rgb, to: { width: number; height: number }) => Promise<Rgb> | Rgb;

const resizes: Readonly<Record<"sharp" | "byHand", Resize>> = {
  sharp: ({ data, width, height }, to) =>
    raw(
      sharp(data, { raw: { width, height, channels: 3 } }).resize({
        ...to,
        fit: "fill",
        kernel: "linear",
      }),
    ),
  byHand: (picture, to) => resampled(resampled(picture, "width", to.width), "height", to.height),
};

class ByHand {
  readonly #session: InferenceSession;
  readonly labels: readonly string[];

  constructor(session: InferenceSession) {
    this.#session = session;
    const read = readFileSync(`${modelDir}/index_to_name.json`, "utf8");
    const byIndex = JSON.parse(read) as Record<string, [string, string]>;
    this.labels = Array.from({ length: 1_000 }, (_, at) => byIndex[at]?.[1] ?? "");
  }

  async scores(file: Uint8Array, resize: Resize): Promise<Float32Array> {
    const picture = await raw(sharp(file));
    const { width, height } = picture;
    const ratio = size / Math.min(width, height);
    const to = { width: Math.floor(width * ratio), height: Math.floor(height * ratio) };
    const { data, width: wide } = await resize(picture, to);
    const [left, top] = [Math.round((to.width - side) / 2), Math.round((to.height - side) / 2)];
    const values = new Float32Array(3 * side * side);
    for (let y = 0; y < side; y += 1) {
      for (let x = 0; x < side; x += 1) {
        const at = ((top + y) * wide + left + x) * 3;
        for (const [plane, mean] of [104, 117, 123].entries()) {
          values[(plane * side + y) * side + x] = (data[at + 2 - plane] ?? 0) - mean;
        }
      }
    }
    const { prob } = await this.#session.run({
      data: new Tensor("float32", values, [1, 3, side, side]),
    });
    assert.ok(prob?.data instanceof Float32Array);
    return prob.data;
  }
}

describe("classify with pictures", { skip: skipWithout("models", "squeezenet1.0") }, () => {
  let dir: TempDir;
  let server: MillraceServer;
  let byHand: ByHand;

  before(async () => {
    dir = await TempDir.make();
    mkdirSync(dir.file("models", "photos"), { recursive: true });
    for (const name of ["model.onnx", "index_to_name.json"]) {
      copyFileSync(`${modelDir}/${name}`, dir.file("models", "photos", name));
    }
    writeFileSync(dir.file("models", "photos", "millrace.json"), JSON.stringify(manifest));
    server = await startReal({ models: dir.file("models"), pipelines: 1 });
    byHand = new ByHand(await InferenceSession.create(`${modelDir}/model.onnx`));
  });
  after(async () => {
    await server?.close();
    await dir?.[Symbol.asyncDispose]();
  });

  async function classify(
    body: string | FormData | Uint8Array,
    query = "",
  ): Promise<ClassifyResponse> {
    const type = typeof body === "string" ? "application/json" : "image/jpeg";
    const response = await fetch(`${server.url}/v1/classify${query}`, {
      method: "POST",
      body,
      ...(body instanceof FormData ? {} : { headers: { "content-type": type } }),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as ClassifyResponse;
  }

  function resultOf({ results }: ClassifyResponse, at = 0): ClassifyResult {
    const result = results[at];
    assert.ok(result !== undefined && "labels" in result, JSON.stringify(result));
    return result;
  }

  test("scores are those of the same work by hand; the folder's name is the model's", async () => {
    for (const name of names) {
      const reply = await classify(photo(name), "?raw=true&model=photos&topK=3");
      const { labels, logits = [] } = resultOf(reply);
      assert.equal(logits.length, 1_000);
      // The crocodile is enlarged, which sharp does beside the centres of the pixels.
      if (name !== "croco.jpg") {
        const same = await byHand.scores(photo(name), resizes.sharp);
        const off = logits.map((value, at) => Math.abs(value - (same[at] ?? 0)));
        assert.ok(Math.max(...off) < 1e-5, `${name}: off by ${Math.max(...off)}`);
      }
      // Another resize, which is PIL's: the same labels, about as sure.
      const other = await byHand.scores(photo(name), resizes.byHand);
      const best = other.indexOf(Math.max(...other));
      assert.equal(labels.length, 3);
      assert.equal(labels[0]?.label, byHand.labels[best], name);
      assert.ok(Math.abs((labels[0]?.score ?? 0) - (other[best] ?? 0)) < 0.05, name);
    }
  });

  test("a file, a form and base64 are the same, alone and together", async () => {
    const form = new FormData();
    for (const name of names) form.append("images", new Blob([photo(name)]), name);
    form.append("topK", "5");
    const together = await classify(form);
    const images = names.map((name) => photo(name).toString("base64"));
    const json = await classify(JSON.stringify({ images, topK: 5 }));
    for (const [at, name] of names.entries()) {
      const alone = resultOf(await classify(photo(name), "?topK=5"));
      for (const { labels } of [resultOf(together, at), resultOf(json, at)]) {
        assert.deepEqual(
          labels.map(({ label }) => label),
          alone.labels.map(({ label }) => label),
        );
        for (const [rank, { score }] of labels.entries()) {
          assert.ok(Math.abs(score - (alone.labels[rank]?.score ?? 0)) < 1e-5, name);
        }
      }
    }
  });

  test("a photo has the same labels in all eight orientations of EXIF", async () => {
    const upright = await sharp(photo("dog.jpg")).png().toBuffer();
    const wanted = resultOf(await classify(upright, "?topK=5")).labels;
    const form = new FormData();
    for (const [at, turn] of exifTurns.entries()) {
      const turned = turn(sharp(upright)).withMetadata({ orientation: at + 1 });
      form.append(
        "images",
        new Blob([await turned.png({ compressionLevel: 1 }).toBuffer()]),
        "a.png",
      );
    }
    const reply = await classify(form, "");
    for (let at = 0; at < 8; at += 1) {
      const { labels } = resultOf(reply, at);
      assert.deepEqual(
        labels.slice(0, 5).map(({ label }) => label),
        wanted.map(({ label }) => label),
        `orientation ${at + 1}`,
      );
    }
  });

  test("bad pictures fail alone; texts are another model's", async () => {
    const form = new FormData();
    const good = photo("croco.jpg");
    const thin = await sharp({
      create: { width: 4_000, height: 3, channels: 3, background: "red" },
    })
      .png()
      .toBuffer();
    for (const part of [good, good.subarray(0, 9_000), Buffer.from("%PDF-1.4"), thin]) {
      form.append("images", new Blob([part]), "x.jpg");
    }
    const invalid = { code: "image_invalid", retryable: false };
    const { results } = await classify(form);
    const codes = results.map((result) => ("error" in result ? result.error.code : "ok"));
    assert.deepEqual(codes, ["ok", "image_invalid", "image_invalid", "image_invalid"]);
    const images = [good.toString("base64"), "no base64!", "AQID"];
    const mixed = (await classify(JSON.stringify({ images }))).results;
    assert.deepEqual(
      mixed.map((each) => ("error" in each ? each.error : "ok")),
      [
        "ok",
        { ...invalid, message: "The picture is not base64.", param: "images[1]" },
        {
          ...invalid,
          message: "The picture is not a JPEG, PNG, WebP, GIF or TIFF.",
          param: "images[2]",
        },
      ],
    );
    // So many that they are looked at in the thread.
    const many = await classify(
      JSON.stringify({ images: Array.from({ length: 400 }, () => "AQID") }),
    );
    assert.ok(many.results.every((each) => "error" in each && each.error.code === "image_invalid"));
    const last = many.results.at(-1);
    assert.ok(last !== undefined && "error" in last && last.error.param === "images[399]");
    const response = await fetch(`${server.url}/v1/classify`, {
      method: "POST",
      body: JSON.stringify({ texts: ["a"] }),
      headers: { "content-type": "application/json" },
    });
    assert.equal(response.status, 400);
    assert.match(await response.text(), /photos takes `images`/);
  });
});
