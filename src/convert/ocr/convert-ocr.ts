/**
 * From the graphs that others published (a detector, a recogniser with its keys, a direction classifier) to a Millrace folder for
 * `ocr`: the files as they are, and a manifest of what they are, seen by running one small picture through all of them.
 */
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { programManifestOf } from "../../models/engine-table.js";
import { manifestFileName, manifestVersion } from "../../models/manifest-base.js";
import type { OcrManifest, OcrRecogniser } from "../../models/programs/manifest-ocr.js";
import { checkShape, readJsonFile, readTextFile } from "../../models/read-json.js";
import { parseManifest } from "../../models/read-manifest.js";
import { Session } from "../../runtime/session.js";
import { startEngine } from "../../runtime/staged/load-staged.js";
import { classesOf, keysBytesMax, keysOf } from "../../runtime/staged/ocr/probe.js";
import { openOcr } from "../../runtime/staged/programs/ocr.js";
import { messageOf } from "../../work/thrown.js";
import { nameOf } from "../convert.js";
import { checkTarget, OutputFolder, outputError, tidyUp } from "../output-folder.js";
import { copyAll, fileNames, type PartFiles, planCopies } from "./copy-files.js";

export interface ConvertOcrOptions {
  readonly detector: string;
  readonly recogniser: string;
  /** One character, or more, a line. */
  readonly keys: string;
  readonly direction?: string;
  /** JSON with fields of `detector`, `direction` and `recogniser` that are not PP-OCR's: docs/pictures.md. */
  readonly settings?: string;
  readonly outDir: string;
  readonly name?: string;
  readonly force: boolean;
  readonly signal: AbortSignal;
}

export interface ConvertOcrResult {
  readonly dir: string;
  readonly manifest: OcrManifest;
  readonly keys: number;
  readonly classes: number;
}

const settingsBytesMax = 64 * 1024;
const fields = z.record(z.string(), z.unknown()).exactOptional();
const settingsSchema = z.strictObject({ detector: fields, direction: fields, recogniser: fields });
type Settings = z.infer<typeof settingsSchema>;

/**
 * @throws MillraceError `option_invalid`, `output_exists`, `model_folder_invalid` or `output_failed`; and the signal's reason.
 * Nothing is left behind then.
 */
export async function convertOcr(options: ConvertOcrOptions): Promise<ConvertOcrResult> {
  const outDir = resolve(options.outDir);
  const name = nameOf(options, outDir);
  try {
    await tidyUp(outDir);
    await checkTarget(outDir, options.force);
    const settings = await readSettings(options.settings);
    const plan = await planCopies(partsOf(options));
    await using output = await OutputFolder.begin(outDir);
    const result = await writeOcr(output.dir, { options, plan, name, settings });
    options.signal.throwIfAborted();
    await output.publish(options.force);
    return { ...result, dir: outDir };
  } catch (error) {
    throw outputError(outDir, error);
  }
}

interface Draft {
  readonly options: ConvertOcrOptions;
  readonly plan: Awaited<ReturnType<typeof planCopies>>;
  readonly name: string;
  readonly settings: Settings;
}

function partsOf({ detector, recogniser, keys, direction }: ConvertOcrOptions): PartFiles {
  return { detector, recogniser, keys, ...(direction === undefined ? {} : { direction }) };
}

async function writeOcr(dir: string, draft: Draft): Promise<Omit<ConvertOcrResult, "dir">> {
  const { options, plan, name, settings } = draft;
  const { files, fileSha256 } = await copyAll(plan, { dir, signal: options.signal });
  const path = join(dir, manifestFileName);
  const written = {
    manifestVersion,
    name,
    task: "ocr",
    engine: "staged",
    program: "ocr",
    family: "pp-ocr",
    precision: "graph",
    quantization: null,
    files,
    fileSha256,
    ...settings,
  };
  const first = ocrManifest(path, written);
  const keys = keysOf(await readTextFile(join(dir, fileNames.keys), keysBytesMax)).length;
  const found = await lookAt(join(dir, fileNames.recogniser), first.recogniser);
  const space = settings.recogniser?.["space"] ?? first.recogniser.keysFrom + keys < found.classes;
  const recogniser = { height: found.height, space, ...settings.recogniser };
  const manifest = ocrManifest(path, { ...written, recogniser });
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
  await tryOut(dir, manifest);
  return { manifest, keys, classes: found.classes };
}

/** Throws where the folder would not be what the server takes. */
function ocrManifest(path: string, value: unknown): OcrManifest {
  return programManifestOf(parseManifest(path, value), "ocr");
}

/** What the graph itself says: the height that it takes, and how many classes it tells apart. */
async function lookAt(
  path: string,
  recogniser: OcrRecogniser,
): Promise<{ readonly height: number; readonly classes: number }> {
  try {
    const session = await Session.open(path, { threads: 1, spin: false });
    try {
      const said = session.inputs[0]?.shape[2];
      const height = typeof said === "number" && said > 0 ? said : recogniser.height;
      return { height, classes: await classesOf(session, { ...recogniser, height }) };
    } finally {
      session.release();
    }
  } catch (cause) {
    throw invalid("the recogniser", cause);
  }
}

/** As a server would load it, one picture through every stage included. */
async function tryOut(dir: string, manifest: OcrManifest): Promise<void> {
  try {
    const program = await openOcr({
      modelDir: dir,
      manifest,
      threads: 1,
      rowsMax: 8,
      weightsCache: null,
    });
    try {
      await startEngine(program, { onRun: () => {}, onOutcomes: () => {} });
    } finally {
      await program.release();
    }
  } catch (cause) {
    throw invalid("the graphs cannot be run", cause);
  }
}

async function readSettings(path: string | undefined): Promise<Settings> {
  if (path === undefined) return {};
  return checkShape(path, await readJsonFile(path, settingsBytesMax), settingsSchema);
}

function invalid(what: string, cause: unknown): MillraceError {
  const why = messageOf(cause);
  return new MillraceError("model_folder_invalid", `${what}: ${why}`, { cause });
}
