/** A command over the pictures of a folder: begun, or gone on with where a former run stopped. */
import { realpath, stat } from "node:fs/promises";
import { MillraceError } from "millrace-client";
import { tell } from "../print.js";
import type { BulkSource } from "./entry.js";
import {
  type BulkWork,
  type Counted,
  progressOf,
  type RunContext,
  runToRows,
  runToText,
} from "./file-run.js";
import { filesOf, jsonlRows } from "./jsonl-rows.js";
import { OutputLock } from "./output-lock.js";
import { type Differences, namesAfter, PictureFolder, readPictures } from "./pictures.js";
import { noRows, ResumableOutput } from "./resumable.js";
import { assertWritable } from "./text-output.js";

const picturesOfLittle = 2;

/** A folder, or files that are named one by one. */
export async function runPictures<Result extends object>(
  paths: readonly string[],
  work: BulkWork<Uint8Array, Result>,
  context: RunContext,
): Promise<number> {
  const [root] = paths;
  const isOne = root !== undefined && paths.length === 1;
  if (isOne && (await stat(root).catch(() => null))?.isFile() !== true)
    return await runFolder(root, work, context);
  if (context.flags.out !== undefined) {
    const message = "--out takes the results of a folder, not of single pictures";
    throw new MillraceError("option_invalid", message);
  }
  const amount = paths.length > picturesOfLittle ? "much" : "little";
  const count = (): Promise<number> => Promise.resolve(paths.length);
  const source = { entries: readPictures(paths), count };
  const ofThem = { kept: null, skipped: () => null, isSummed: false };
  const counted: Counted = { amount, unit: "picture", ...ofThem };
  return await runToText(source, work, { ...context, counted });
}

async function runFolder<Result extends object>(
  root: string,
  work: BulkWork<Uint8Array, Result>,
  { flags, signal }: RunContext,
): Promise<number> {
  const folder = await PictureFolder.open(root);
  const { out } = flags;
  const count = async (counting: AbortSignal): Promise<number> => {
    let pictures = 0;
    // A walk of its own: this one's count of others must not mix with that of the run.
    for await (const _ of (await PictureFolder.open(root)).names(counting)) pictures += 1;
    return pictures;
  };
  const sourceOf = (names: AsyncIterable<string>, from: number): BulkSource<Uint8Array> => ({
    entries: folder.read(names, from),
    count,
  });
  const counted = (kept: number | null): Counted => ({
    amount: "much",
    unit: "picture",
    kept,
    skipped: () => folder.others,
    isSummed: true,
  });
  if (out === undefined) {
    const source = sourceOf(folder.names(signal), 0);
    return await runToText(source, work, { flags, signal, counted: counted(null) });
  }
  await assertWritable(out);
  await using _lock = await OutputLock.take(out);
  // Another folder of the same names would be gone on with unnoticed, so its own name counts.
  const arguments_ = { ...work.arguments, folder: await realpath(root) };
  const progress = progressOf(out, { ...work, arguments: arguments_ }, flags);
  const format = jsonlRows(work.plain);
  const begun = flags.restart === true ? null : await progress.begun();
  const kept = begun === null ? noRows : await format.wholeRows(out);
  const differences: Differences = { appeared: 0, firstAppeared: null, vanished: 0 };
  const names = namesAfter(folder.names(signal), filesOf(out, kept), differences);
  const source = sourceOf(told(names, differences), kept.rows);
  await using output = await ResumableOutput.open({ progress, format, kept, prefix: null });
  return await runToRows(source, work, { flags, signal, output, counted: counted(kept.rows) });
}

/** Says what differs as soon as all of it is known: when the first name is undone, or when there is none. */
async function* told(
  names: AsyncIterable<string>,
  differences: Differences,
): AsyncGenerator<string> {
  let isTold = false;
  const tellOnce = (): void => {
    if (!isTold) tell(differenceText(differences));
    isTold = true;
  };
  for await (const name of names) {
    tellOnce();
    yield name;
  }
  tellOnce();
}

function differenceText({ appeared, firstAppeared, vanished }: Differences): string {
  const lines = [
    ...(appeared === 0
      ? []
      : [
          `warning: ${appeared} new files sort before the place where this goes on, and stay undone (the first: ${firstAppeared ?? ""}); --restart does all\n`,
        ]),
    ...(vanished === 0 ? [] : [`warning: ${vanished} files that were done are gone\n`]),
  ];
  return lines.join("");
}
