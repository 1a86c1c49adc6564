/** `millrace convert --task ocr`: published graphs in, a Millrace model folder out. */

import { MillraceError } from "millrace-client/wire";
import type { ConvertOcrResult } from "../convert/ocr/convert-ocr.js";

export interface OcrFlags {
  readonly out: string;
  readonly detector?: string;
  readonly recogniser?: string;
  readonly keys?: string;
  readonly direction?: string;
  readonly settings?: string;
  readonly name?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** What there is to print. @throws MillraceError `option_invalid` where a file is not named; and what convert throws. */
export async function convertOcrFolder(flags: OcrFlags, signal: AbortSignal): Promise<string> {
  const { detector, recogniser, keys, direction, settings, name } = flags;
  if (detector === undefined || recogniser === undefined || keys === undefined) {
    const message = "--task ocr needs --detector, --recogniser and --keys";
    throw new MillraceError("option_invalid", message);
  }
  // Only now: it brings ONNX Runtime, which must not be in a process that serves.
  const { convertOcr } = await import("../convert/ocr/convert-ocr.js");
  const result = await convertOcr({
    detector,
    recogniser,
    keys,
    ...(direction === undefined ? {} : { direction }),
    ...(settings === undefined ? {} : { settings }),
    ...(name === undefined ? {} : { name }),
    outDir: flags.out,
    force: flags.force ?? false,
    signal,
  });
  return flags.json === true ? `${JSON.stringify(result)}\n` : asText(result);
}

function asText({ dir, manifest, keys, classes }: ConvertOcrResult): string {
  const { recogniser, files } = manifest;
  const { height, keysFrom, space } = recogniser;
  const spare = keysFrom + keys + (space ? 1 : 0) - classes;
  const lines = [
    `${dir}: ${manifest.name}, ${manifest.task}`,
    `  lines of ${height} pixels, ${classes} classes: ${keys} keys${space ? ", a space" : ""}, the rest blank`,
    `  ${files.direction === undefined ? "lines upside down are read as they are" : "lines upside down are turned"}`,
  ];
  if (spare > 0) lines.push("  the last key has no class, and is never read");
  return `${lines.join("\n")}\n`;
}
