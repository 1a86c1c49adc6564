/** `millrace config migrate`: the file is replaced whole or not at all, and what it was stands beside it. */
import { constants } from "node:fs";
import { copyFile, open, readFile, realpath, rm, stat } from "node:fs/promises";
import { MillraceError } from "millrace-client/wire";
import { configurationTextOf, configVersion } from "../options/config-file.js";
import { migrateConfig } from "../options/migrate-config.js";
import { move } from "../platform/move.js";
import { readProblem, unwritable } from "../work/file-problem.js";
import { hasCode } from "../work/thrown.js";
import { AdvisedError } from "./advised-error.js";
import { printResult, printText, tell } from "./print.js";

export async function migrateFile(path: string, isPrinted: boolean): Promise<void> {
  const { version, text, changes } = migrateConfig(path, await readText(path));
  const told = changes.map((change) => `  ${change}\n`).join("");
  if (isPrinted) {
    printResult(text);
    tell(told);
    return;
  }
  if (version === configVersion) {
    tell(`${path} is of version ${configVersion}: nothing to change\n`);
    return;
  }
  // The file that a link points to is what is replaced, and not the link.
  const target = await realpath(path);
  const backup = `${target}.v${version}`;
  await replace(target, text, backup);
  printText(`${path}\n`);
  tell(`${told}What it was is in ${backup}\n`);
}

async function readText(path: string): Promise<string> {
  try {
    return configurationTextOf(await readFile(path));
  } catch (cause) {
    throw new MillraceError("option_invalid", `${path}: ${readProblem(cause)}`, { cause });
  }
}

async function replace(target: string, text: string, backup: string): Promise<void> {
  const draft = `${target}.new`;
  await writeDraft(draft, target, text);
  try {
    await keep(target, backup);
    await move(draft, target);
  } catch (cause) {
    await rm(draft, { force: true });
    if (cause instanceof MillraceError) throw cause;
    await rm(backup, { force: true });
    throw unwritable(target, cause);
  }
}

/** On disk, and for those who may read the old one. Where another run writes it, that one is left alone. */
async function writeDraft(draft: string, target: string, text: string): Promise<void> {
  try {
    const { uid, gid, mode } = await stat(target);
    await using writer = await open(draft, "wx", 0o600);
    const own = await writer.stat();
    await writer.writeFile(text);
    if (own.uid !== uid || own.gid !== gid) await writer.chown(uid, gid);
    await writer.chmod(mode & 0o777);
    await writer.sync();
  } catch (cause) {
    if (!hasCode(cause, "EEXIST")) await rm(draft, { force: true });
    throw unwritable(draft, cause);
  }
}

async function keep(target: string, backup: string): Promise<void> {
  try {
    await copyFile(target, backup, constants.COPYFILE_EXCL);
  } catch (cause) {
    if (!hasCode(cause, "EEXIST")) throw unwritable(backup, cause);
    const advice = "Move it elsewhere, or see with --print what would be written.";
    throw new AdvisedError("output_exists", `${backup} is there already`, advice);
  }
}
