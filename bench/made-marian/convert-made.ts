/** Converts a made Marian folder as `millrace convert` does. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type ConvertResult, convert } from "#src/convert/convert.js";

export async function convertMade(
  modelDir: string,
  to: { readonly outDir: string; readonly precision: "int8" | "f32"; readonly force?: boolean },
): Promise<ConvertResult> {
  const outDir = resolve(to.outDir);
  await mkdir(dirname(outDir), { recursive: true });
  const calibrationFile = `${outDir}.calibration.txt`;
  await writeFile(calibrationFile, await fewSentences());
  try {
    return await convert({
      modelDir,
      outDir,
      precision: to.precision,
      calibrationFile,
      force: to.force ?? false,
      onProgress: () => {},
      signal: new AbortController().signal,
    });
  } finally {
    await rm(calibrationFile);
  }
}

/** Each runs to its imposed end, token by token in float32; made weights need no more of them. */
async function fewSentences(): Promise<string> {
  const lines = (await readFile(join("models", "calibration.en.txt"), "utf8")).split("\n");
  return lines.slice(0, 12).join("\n");
}
