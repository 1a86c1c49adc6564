/** `millrace models pull ORG/NAME`: from a Hugging Face hub or a mirror into a folder, which `convert` then reads. */
import { statfs } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import { type HubFile, ownPrefix } from "../hub/repository.js";
import { makeFolders } from "../platform/make-folders.js";
import { unwritable } from "../work/file-problem.js";
import { AdvisedError } from "./advised-error.js";
import { OutputLock } from "./bulk/output-lock.js";
import { sizeText } from "./models.js";
import { draw, print, tell } from "./print.js";
import { runRemote } from "./remote.js";

export interface HubFlags {
  readonly json?: boolean;
  readonly out?: string;
  readonly endpoint?: string;
  readonly revision?: string;
  readonly all?: boolean;
  readonly replace?: boolean;
}

const usualEndpoint = "https://huggingface.co";
const firstPauseMs = 1_000;
/** A repository may have more files than anybody reads. */
const listedMax = 40;

/** The store's names have no slash; what only a hub has says it too. */
export function isOfHub(model: string, { endpoint, revision, all }: HubFlags): boolean {
  return model.includes("/") || endpoint !== undefined || revision !== undefined || all === true;
}

/** What the registry says of these is meant of a server of Millrace's own. */
const adviceOfHub: Readonly<Partial<Record<ErrorCode, string>>> = {
  connection_failed: "--endpoint, or HF_ENDPOINT, names the hub, or a mirror that can be reached.",
  response_invalid: "--endpoint, or HF_ENDPOINT, names a hub: https://huggingface.co is one.",
  unauthenticated: "`HF_TOKEN=hf_… millrace models pull ORG/NAME` asks with a token.",
  forbidden: "`HF_TOKEN=hf_… millrace models pull ORG/NAME` asks with a token.",
  model_not_found:
    "The page of the repository has its name, ORG/NAME, and its branches and tags for --revision.",
  output_exists: "--out DIR names another folder; --replace writes over what is there.",
};

export async function pullFromHub(name: string, flags: HubFlags): Promise<void> {
  await runRemote(async (signal) => {
    try {
      return await pullAndTell(name, flags, signal);
    } catch (error) {
      const advice = error instanceof MillraceError ? adviceOfHub[error.code] : undefined;
      if (!(error instanceof MillraceError) || advice === undefined) throw error;
      throw new AdvisedError(error.code, error.message, advice);
    }
  });
}

async function pullAndTell(name: string, flags: HubFlags, signal: AbortSignal): Promise<number> {
  const dir = flags.out ?? basename(name);
  const { hubOf } = await import("../hub/ask-hub.js");
  const { readRepository } = await import("../hub/repository.js");
  const { neededFiles } = await import("../hub/choose-files.js");
  const { hubBytes, pullFiles } = await import("../hub/pull.js");
  const { takeFolder } = await import("../hub/target-folder.js");
  const { HF_ENDPOINT, HF_TOKEN } = process.env;
  const hub = hubOf(flags.endpoint ?? (HF_ENDPOINT || usualEndpoint), HF_TOKEN);
  const revision = flags.revision ?? "main";
  const question = { name, revision, pauseMs: firstPauseMs };
  const repository = await readRepository(hub, question, signal);
  const files = flags.all === true ? repository.files : neededFiles(repository.files);
  if (files.length === 0) throw nothingNeeded(name, repository.files);
  const allBytes = hubBytes(files);
  await using _lock = await lockOf(dir);
  const replace = flags.replace === true;
  const target = { dir, hub, repository, revision, files, replace, signal };
  const { missing, finish } = await takeFolder(target);
  tell(listText({ name, commit: repository.commit, files, allBytes }));
  await warnOfRoom(dir, hubBytes(missing));
  const progress = new Progress(allBytes);
  const onBytes = (bytes: number): void => progress.add(bytes);
  onBytes(allBytes - hubBytes(missing));
  const parts = { hub, repository, dir, signal, onBytes, pauseMs: firstPauseMs };
  try {
    await pullFiles(missing, parts);
    await finish();
  } catch (error) {
    progress.end();
    tell(`What has come is kept in ${dir}; the same command goes on with it.\n`);
    throw error;
  }
  progress.end();
  const shown = { name, commit: repository.commit, dir, files: files.length, bytes: allBytes };
  const text = `${name}: ${files.length} files in ${dir}`;
  print(flags, shown, () => `${text}\n`);
  tell(nextText(dir, files));
  return 0;
}

/** Two that write into one folder would write into each other's files. @throws MillraceError `output_in_use` */
async function lockOf(dir: string): Promise<OutputLock> {
  await makeFolders(dir).catch((error: unknown) => {
    throw unwritable(dir, error);
  });
  return await OutputLock.take(join(dir, ownPrefix));
}

function nothingNeeded(name: string, files: readonly HubFile[]): MillraceError {
  const some = files.slice(0, 12).map((file) => file.name);
  const rest = files.length > some.length ? ", …" : "";
  const message = `${name} has no weights that Millrace reads (safetensors, pytorch_model.bin, ONNX), only: ${some.join(", ")}${rest}; --all fetches everything`;
  return new MillraceError("model_unsupported", message);
}

interface Listed {
  readonly name: string;
  readonly commit: string;
  readonly files: readonly HubFile[];
  readonly allBytes: number;
}

function listText({ name, commit, files, allBytes }: Listed): string {
  const listed = files.slice(0, listedMax);
  const width = Math.max(...listed.map((file) => file.name.length));
  const lines = listed.map((file) => `  ${file.name.padEnd(width)}  ${sizeText(file.bytes)}`);
  const rest = files.length - listed.length;
  if (rest > 0) lines.push(`  and ${rest} more`);
  const all = `${files.length} files, ${sizeText(allBytes)}`;
  return [`${name} at ${commit.slice(0, 12)}: ${all}`, ...lines, ""].join("\n");
}

/** Before an hour of fetching, and not behind it. */
async function warnOfRoom(dir: string, bytes: number): Promise<void> {
  let existing = resolve(dir);
  for (;;) {
    const found = await statfs(existing).catch(() => null);
    if (found === null && dirname(existing) !== existing) {
      existing = dirname(existing);
      continue;
    }
    if (found === null) return;
    const free = found.bavail * found.bsize;
    if (free >= bytes) return;
    tell(
      `warning: ${sizeText(free)} are free at ${existing}, and ${sizeText(bytes)} are to be fetched\n`,
    );
    return;
  }
}

function nextText(dir: string, files: readonly HubFile[]): string {
  const isGraph = files.some(({ name }) => name.endsWith(".onnx"));
  const name = basename(resolve(dir));
  return isGraph
    ? `Next: millrace inspect ${dir}; millrace serve --models ${dir}\n`
    : `Next: millrace convert ${dir} --out models/${name}; then --models models has it\n`;
}

/** On a terminal, a few times a second. */
class Progress {
  readonly #allBytes: number;
  #doneBytes = 0;
  #toldAtMs = 0;

  constructor(allBytes: number) {
    this.#allBytes = allBytes;
  }

  add(bytes: number): void {
    this.#doneBytes += bytes;
    const nowMs = performance.now();
    if (!process.stderr.isTTY || nowMs - this.#toldAtMs < 200) return;
    this.#toldAtMs = nowMs;
    this.#tell("");
  }

  end(): void {
    if (process.stderr.isTTY) this.#tell("\n");
  }

  #tell(end: string): void {
    const done = `${sizeText(this.#doneBytes)} of ${sizeText(this.#allBytes)}`;
    draw(`\rfetched ${done}\u001b[K${end}`);
  }
}
