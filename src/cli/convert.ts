/** `millrace convert`: a Hugging Face folder in, a Millrace model folder out, with progress. */
import { fileURLToPath } from "node:url";
import { SingleBar } from "cli-progress";
import { type Command, Option } from "commander";
import { MillraceError } from "millrace-client/wire";
import type { ConvertOptions, ConvertProgress, ConvertResult } from "../convert/convert.js";
import { wholeNumber } from "./bulk/flags.js";
import { convertOcrFolder, type OcrFlags } from "./convert-ocr.js";
import { exitCodes } from "./exit-codes.js";
import { printText, tell } from "./print.js";

interface Flags extends OcrFlags {
  readonly task?: "ocr";
  readonly precision: "f32" | "int8";
  readonly calibration?: string;
  readonly embeddings?: boolean;
  readonly shortlist?: string;
  readonly shortlistMinCount?: number;
  readonly progress: boolean;
}

const shippedSentences = fileURLToPath(new URL("../../models/calibration.en.txt", import.meta.url));

const examples = `
Examples:
  $ millrace convert ./opus-mt-en-zh --out models/en-zh                     int8, calibrated on shipped sentences
  $ millrace convert ./opus-mt-en-zh --out models/en-zh-f32 --precision f32
  $ millrace convert ./opus-mt-de-en --out models/de-en --calibration german.txt
  $ millrace convert ./opus-mt-en-zh --out models/en-zh --shortlist chinese.txt --shortlist-min-count 2
  $ millrace convert ./all-MiniLM-L6-v2 --out models/minilm                 embeddings; labels and rerankers likewise
  $ millrace convert --task ocr --detector det.onnx --recogniser rec.onnx --keys keys.txt --direction cls.onnx --out models/ocr
`;

export function registerConvert(program: Command): void {
  program
    .command("convert")
    .summary("make a model folder from one of Hugging Face, or from graphs")
    .description(
      "Make a Millrace model folder from a Hugging Face folder (Marian translation models, and encoders of BERT's kin).",
    )
    .argument("[model-dir]", "folder with config.json, a tokenizer and weights")
    .requiredOption("--out <dir>", "the folder to write; it appears whole or not at all")
    .addOption(
      new Option("--precision <precision>", "of the weight products")
        .choices(["f32", "int8"])
        .default("int8"),
    )
    .option(
      "--calibration <file>",
      "sentences, one a line, in the model's source language (for int8)",
    )
    .option(
      "--shortlist <file>",
      "sentences, one a line, in the model's target language: it generates only tokens that occur in them, and has less to compute at each step",
    )
    .addOption(
      new Option(
        "--shortlist-min-count <n>",
        "how often a token must occur there (default: 1)",
      ).argParser(wholeNumber),
    )
    .addOption(
      new Option("--task <task>", "not from a folder, but from graphs for this task").choices([
        "ocr",
      ]),
    )
    .option("--detector <file>", "ocr: the .onnx file that finds lines")
    .option("--recogniser <file>", "ocr: the .onnx file that reads them")
    .option("--keys <file>", "ocr: its characters, one a line")
    .option("--direction <file>", "ocr: the .onnx file that tells which lines are upside down")
    .option("--settings <file>", "ocr: JSON of what is not as PP-OCR has it")
    .option("--name <name>", "what callers name as model (default: the name of the output folder)")
    .option("--embeddings", "of a translation model, a second model in the folder: NAME-embeddings")
    .option("--force", "replace the output folder, if it is a Millrace model folder")
    .option("--json", "print the report as JSON")
    .option("--no-progress", "no progress bar")
    .addHelpText("after", examples)
    .action(runConvert);
}

async function runConvert(modelDir: string | undefined, flags: Flags): Promise<void> {
  const stop = new AbortController();
  const onSignal = () => stop.abort(new Error("interrupted"));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const bar = new StepBar(flags.progress && process.stderr.isTTY === true);
  try {
    if (flags.task === "ocr") {
      refuseShortlist(flags);
      printText(await convertOcrFolder(flags, stop.signal));
      return;
    }
    if (modelDir === undefined) {
      throw new MillraceError("option_invalid", "convert needs a model folder, or --task ocr");
    }
    // Only now: calibration brings ONNX Runtime, which must not be in a process that serves.
    const { convert } = await import("../convert/convert.js");
    const result = await convert({
      modelDir,
      outDir: flags.out,
      precision: flags.precision,
      calibrationFile: flags.calibration ?? shippedSentences,
      ...(flags.name === undefined ? {} : { name: flags.name }),
      embeddings: flags.embeddings ?? false,
      ...shortlistOf(flags),
      force: flags.force ?? false,
      signal: stop.signal,
      onProgress: (progress) => bar.show(progress),
    });
    bar.stop();
    printText(flags.json === true ? `${asJson(result)}\n` : asText(result));
  } catch (error) {
    bar.stop();
    if (!stop.signal.aborted) throw error;
    tell("interrupted; nothing was written\n");
    process.exitCode = exitCodes.interrupted;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

function shortlistOf({
  shortlist: file,
  shortlistMinCount: minCount,
}: Flags): Pick<ConvertOptions, "shortlist"> {
  if (file !== undefined) return { shortlist: { file, minCount: minCount ?? 1 } };
  if (minCount === undefined) return {};
  throw new MillraceError("option_invalid", "--shortlist-min-count needs --shortlist");
}

/** Nothing of OCR has a vocabulary to choose from. */
function refuseShortlist({ shortlist, shortlistMinCount }: Flags): void {
  if (shortlist === undefined && shortlistMinCount === undefined) return;
  const message = "--shortlist is for marian models; --task ocr has none";
  throw new MillraceError("option_invalid", message);
}

/** One bar a step on a terminal, one line a step elsewhere. */
class StepBar {
  readonly #live: boolean;
  #bar: SingleBar | null = null;
  #step: ConvertProgress["step"] | null = null;

  constructor(live: boolean) {
    this.#live = live;
  }

  show({ step, done }: ConvertProgress): void {
    if (step !== this.#step) this.#begin(step);
    this.#bar?.update(Math.round(done * 1000));
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = null;
  }

  #begin(step: ConvertProgress["step"]): void {
    this.stop();
    this.#step = step;
    if (!this.#live) {
      tell(`${titles[step]} …\n`);
      return;
    }
    const format = `${titles[step].padEnd(24)} [{bar}] {percentage}%`;
    this.#bar = new SingleBar({ format, hideCursor: true, stream: process.stderr });
    this.#bar.start(1000, 0);
  }
}

const titles: Readonly<Record<ConvertProgress["step"], string>> = {
  choose: "Choosing the shortlist",
  hash: "Checking the weights",
  calibrate: "Calibrating",
  write: "Writing",
};

function asJson({ dir, manifest, further, calibration }: ConvertResult): string {
  return JSON.stringify({ dir, manifest, further, calibration: calibration?.products ?? null });
}

function asText({ dir, manifest, further, calibration, shortlist }: ConvertResult): string {
  const products = Object.entries(manifest.layerPrecision);
  const floats = products.filter(([, precision]) => precision === "f32").map(([name]) => name);
  const worst = [...(calibration?.products ?? [])].sort((a, b) => b.inputError - a.inputError)[0];
  const lines = [
    `${dir}: ${manifest.name}, ${manifest.task}, ${manifest.precision}`,
    `  ${products.length - floats.length} products in int8, ${floats.length} in float32`,
  ];
  if (manifest.precision === "int8" && floats.length > 0) {
    lines.push(`  kept in float32 because int8 would hurt: ${floats.join(", ")}`);
  }
  if (worst !== undefined) {
    const percent = (worst.inputError * 100).toFixed(1);
    lines.push(
      `  calibrated on ${manifest.madeWith.calibration}; worst input error ${percent}% (${worst.product})`,
    );
  }
  if (shortlist !== null) lines.push(`  shortlist: ${shortlist}`);
  lines.push(...further.map(({ name, task }) => `  and beside it ${name}, ${task}`));
  return `${lines.join("\n")}\n`;
}
