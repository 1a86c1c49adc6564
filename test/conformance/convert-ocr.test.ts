/** `millrace convert --task ocr`: what is no such model is named, and nothing is left behind. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { type ConvertOcrOptions, convertOcr } from "#src/convert/ocr/convert-ocr.js";
import { ocrFiles } from "../support/ocr-reference.js";
import { skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const skip = skipWithout("models", "ocr");

test("files that are not what they are said to be are named, and nothing is left", {
  skip,
}, async () => {
  await using dir = await TempDir.make();
  const keys = readFileSync(ocrFiles.keys, "utf8").split("\n");
  writeFileSync(dir.file("few.txt"), keys.slice(0, 100).join("\n"));
  writeFileSync(dir.file("many.txt"), [...keys, "x", "y", "z"].join("\n"));
  writeFileSync(dir.file("cut.onnx"), readFileSync(ocrFiles.detector).subarray(0, 100_000));
  writeFileSync(dir.file("bad.json"), '{"recognizer": {}}');
  writeFileSync(dir.file("wrong.json"), '{"recogniser": {"height": "tall"}}');
  const cases: readonly (readonly [Partial<ConvertOcrOptions>, RegExp])[] = [
    [{ keys: dir.file("few.txt") }, /5531 classes, and with the keys there are 102/],
    [{ keys: dir.file("many.txt") }, /5531 classes/],
    [{ detector: dir.file("cut.onnx") }, /cannot be run/],
    [{ detector: ocrFiles.recogniser }, /the detector takes no picture|the detector gives/],
    [{ recogniser: ocrFiles.detector }, /the recogniser/],
    [{ direction: dir.file("missing.onnx") }, /missing\.onnx is not there/],
    [{ settings: dir.file("bad.json") }, /recognizer/],
    [{ settings: dir.file("wrong.json") }, /recogniser\.height/],
  ];
  for (const [change, message] of cases) {
    const before = readdirSync(dir.path).length;
    const options = { ...ocrFiles, outDir: dir.file("out"), force: false, ...change };
    await assert.rejects(
      convertOcr({ ...options, signal: new AbortController().signal }),
      (error) => {
        assert.ok(error instanceof MillraceError, String(error));
        assert.equal(error.code, "model_folder_invalid");
        assert.match(error.message, message);
        return true;
      },
    );
    assert.equal(readdirSync(dir.path).length, before);
  }
});
