/** What an edge answers is what its node answers, to the byte: texts by the hundred in one request, pictures, tensors, and mistakes. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import type { MillraceServer } from "#src/index.js";
import { writeColourClassifier } from "../support/colour-classifier.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { quarters } from "../support/pictures.js";
import { copyTranslator, startReady, startReal, texts, until } from "../support/real-server.js";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

interface Asked {
  readonly path: string;
  readonly body: string | FormData | Uint8Array;
  readonly type?: string;
}

interface Reply {
  readonly id?: string;
  readonly timings?: object;
  readonly deployment?: object;
  readonly pipelines?: object;
}

describe("through an edge", { skip: skipWithoutNats }, () => {
  let dir: TempDir;
  let nats: NatsServer;
  let node: MillraceServer;
  let edge: MillraceServer;

  before(async () => {
    dir = await TempDir.make();
    nats = await NatsServer.start();
    await copyTranslator(dir.file("models", "en-zh"));
    writeColourClassifier(dir.file("models", "colours"));
    await writeFile(dir.file("models", "look-up.onnx"), lookUp);
    const joined = { nats: nats.url, bodyBytesMax: 1_000_000 };
    // It is asked directly too.
    const models = dir.file("models");
    node = await startReady({ ...joined, role: "both", node: "n1", models });
    edge = await startReal({ ...joined, role: "edge", node: "e1" });
    await until(() => edge.views.models().filter(({ ready }) => ready).length === 3);
  });
  after(async () => {
    for (const server of [edge, node]) await server?.close();
    await nats?.[Symbol.asyncDispose]();
    await dir?.[Symbol.asyncDispose]();
  });

  async function ask(
    { url }: MillraceServer,
    { path, body, type }: Asked,
  ): Promise<{ readonly status: number; readonly told: string; readonly pipelines: object }> {
    const headers = type === undefined ? {} : { "content-type": type };
    const response = await fetch(`${url}${path}`, { method: "POST", body, headers });
    const reply = (await response.json()) as Reply;
    // Who did it, and when, is another each time.
    const { id: _id, timings: _timings, deployment: _where, pipelines = {}, ...told } = reply;
    return { status: response.status, told: JSON.stringify(told), pipelines };
  }

  async function isEqual(asked: Asked, status = 200): Promise<void> {
    const [own, through] = [await ask(node, asked), await ask(edge, asked)];
    assert.equal(own.status, status, own.told);
    assert.deepEqual([through.status, through.told], [own.status, own.told]);
  }

  const json = (path: string, fields: object): Asked => {
    return { path, body: JSON.stringify(fields), type: "application/json" };
  };

  test("hundreds of texts in one request, which goes in lots, with those that are wrong at their places", async () => {
    const long = "x".repeat(400_000);
    const many = [...texts(120), long, ...texts(60), "", ...texts(60)];
    const fields = { model: "en-zh", class: "bulk", beams: 1, texts: many };
    const { accepted } = node.views.status().requests;
    // Before anybody knows how fast the node is: then all that is more than a little is large.
    const { told, pipelines } = await ask(edge, json("/v1/translate", fields));
    const lots = node.views.status().requests.accepted - accepted;
    assert(lots > 1, String(lots));
    assert.deepEqual(Object.keys(pipelines), ["n1/shared-1"]);
    assert.equal(told, (await ask(node, json("/v1/translate", fields))).told);
  });

  test("pictures: as they are, in forms, and in base64, good and bad", async () => {
    const good = await quarters(40, 30).png().toBuffer();
    const bad = Buffer.from("no picture");
    await isEqual({ path: "/v1/classify?model=colours", body: good, type: "image/png" });
    const form = new FormData();
    form.set("model", "colours");
    for (const each of [good, bad, good]) form.append("images", new Blob([new Uint8Array(each)]));
    await isEqual({ path: "/v1/classify", body: form });
    const images = [good, bad].map((each) => each.toString("base64"));
    await isEqual(json("/v1/classify", { model: "colours", images }));
    await isEqual(json("/v1/classify", { model: "colours", images: ["?"] }));
  });

  test("tensors, and a run that fails", async () => {
    const infer = (data: readonly number[]): Asked => {
      const input = { name: "at", datatype: "INT64", shape: [data.length], data };
      return json("/v2/models/look-up/infer", { inputs: [input] });
    };
    await isEqual(infer([3, 0, 1]));
    await isEqual(infer([9]), 422);
    await isEqual(json("/v2/models/look-up/infer", { inputs: [] }), 400);
  });

  test("mistakes have the same code", async () => {
    const fields = { model: "en-zh", class: "bulk", texts: texts(300) };
    await isEqual(json("/v1/translate", { ...fields, maxLength: 100_000 }), 400);
    await isEqual(json("/v1/translate", { ...fields, beam: 2 }), 400);
    await isEqual(json("/v1/translate", { ...fields, texts: [...texts(300), 7] }), 400);
  });
});
