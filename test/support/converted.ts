/** Converts a Hugging Face folder the way a test wants it: quietly. */
import { join } from "node:path";
import { type ConvertOptions, type ConvertResult, convert } from "#src/convert/convert.js";

/** The sentences that the project ships for calibration. */
export const shippedSentences: string = join(process.cwd(), "models", "calibration.en.txt");

export async function convertQuietly(
  options: Pick<ConvertOptions, "modelDir" | "outDir"> & Partial<ConvertOptions>,
): Promise<ConvertResult> {
  return await convert({
    precision: "f32",
    calibrationFile: shippedSentences,
    force: false,
    onProgress: () => {},
    signal: new AbortController().signal,
    ...options,
  });
}
