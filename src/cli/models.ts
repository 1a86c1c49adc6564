/** `millrace models`: the store of models that the servers of a deployment fetch theirs from (`--nats-models`). */
import { join } from "node:path";
import type { Command } from "commander";
import { MillraceError } from "millrace-client/wire";
import type { ModelBucket } from "../nats/model-bucket.js";
import type { ModelRecord } from "../nats/model-record.js";
import type { OptionKey } from "../options/options.js";
import { flagOf, variableOf } from "../options/table.js";
import { AdvisedError } from "./advised-error.js";
import { exitCodes } from "./exit-codes.js";
import type { HubFlags } from "./models-pull.js";
import { addOptionFlags, configurationFrom } from "./option-flags.js";
import { draw, print, printJson, printText, tell } from "./print.js";

/** Of a server's options, those that lead to NATS. */
const linkKeys: readonly OptionKey[] = [
  "nats",
  "natsPrefix",
  "natsCredentials",
  "natsCa",
  "natsCert",
  "natsKey",
  "natsReplicas",
];
const connectMsMax = 10_000;
/** Longer than the link takes to close. */
const leaveMsMax = 3_000;

const examples = `
Examples:
  $ millrace models pull Helsinki-NLP/opus-mt-en-zh          from huggingface.co; says how it is converted

Where MILLRACE_NATS names the NATS servers:
  $ millrace models push models/en-de --as en-de@2           every file once, however many versions have it
  $ millrace models list
  $ millrace models default en-de@2                          en-de means this version from now on, everywhere
  $ millrace models default en-de@1                          back again
  $ millrace models pull en-de@2 --out models/en-de
  $ millrace models remove en-de@1

Servers fetch theirs with \`millrace serve --nats-models en-de\`, or \`all\`.
`;

const pushExamples = `
Examples:
  $ millrace models push models/en-de                        named as its millrace.json says, its version by its contents
  $ millrace models push models/en-de --as en-de@2           the first version of a name is what the name means
  $ millrace models push models/en-de --as en-de@3 --default
`;

const pullExamples = `
Examples:
  $ millrace models pull Helsinki-NLP/opus-mt-en-zh                       into ./opus-mt-en-zh
  $ millrace models pull org/ranker --endpoint https://hub.example --out ranker
  $ millrace models pull org/ranker --revision v2 --out ranker --replace  over another version of it
  $ millrace models pull en-de@2 --nats nats://127.0.0.1:4222             from the store

The variable HF_TOKEN has the token where a hub asks for one: it is sent to that host only.
`;

const listExamples = `
Examples:
  $ millrace models list --nats nats://127.0.0.1:4222
  $ millrace models list --json | jq -r '.[].name'
`;

const removeExamples = `
Examples:
  $ millrace models remove en-de@1                           refused while the name means it
`;

const defaultExamples = `
Examples:
  $ millrace models default en-de@2
  $ millrace models default en-de@2 --from 1                 only where it means en-de@1 until then
`;

interface Flags {
  readonly json?: boolean;
}

interface PushFlags extends Flags {
  readonly as?: string;
  readonly default?: boolean;
}

interface DefaultFlags extends Flags {
  readonly from?: string;
}

export function registerModels(program: Command): void {
  const models = program
    .command("models")
    .summary("models from a hub, and the store that servers use")
    .description(
      "Fetch models from a Hugging Face hub; and the store of models in NATS, which servers fetch theirs from (--nats-models).",
    )
    .addHelpText("after", examples);
  withLink(models.command("push <dir>"))
    .summary("put a model folder into the store")
    .description("Put a model folder into the store, as a version that then stays what it is.")
    .option(
      "--as <name@version>",
      "what it is called; else as its millrace.json says, and by its contents",
    )
    .option("--default", "its name means this version from now on")
    .addHelpText("after", pushExamples)
    .action(push);
  withLink(models.command("list"))
    .summary("show what is in the store")
    .description("Show what is in the store, and which version each name means (*).")
    .addHelpText("after", listExamples)
    .action(list);
  withLink(models.command("pull <model>"))
    .summary("fetch a repository of a hub, or a version from the store, into a folder")
    .description(
      "ORG/NAME: fetch what is needed of a repository of a Hugging Face hub; again: go on with it. Without a slash: fetch a version from the store, name@version or what the name means, into a new folder.",
    )
    .option("--out <dir>", "the folder that is made; else name@version, or NAME, here")
    .option("--endpoint <url>", "the hub; else HF_ENDPOINT, else https://huggingface.co")
    .option("--revision <name>", "branch, tag or commit of the repository; else main")
    .option("--all", "every file of the repository, whether it is needed or not")
    .option("--replace", "of a hub: write over what is there, whosever it is")
    .addHelpText("after", pullExamples)
    .action(pull);
  withLink(models.command("default <model>"))
    .summary("say which version a name means")
    .description(
      "Say which version a name means: in one step, on all servers, back again likewise.",
    )
    .option("--from <version>", "refuse where the name means another version until then")
    .addHelpText("after", defaultExamples)
    .action(makeDefault);
  withLink(models.command("remove <model>"))
    .summary("take a version away")
    .description("Take a version away, and the files that no other one has.")
    .addHelpText("after", removeExamples)
    .action(remove);
}

function withLink(command: Command): Command {
  return addOptionFlags(command.option("--json", "print JSON"), linkKeys);
}

async function push(dir: string, flags: PushFlags): Promise<void> {
  const { readModel, verifyFiles } = await import("../models/read-manifest.js");
  const { parseName } = await import("../nats/model-record.js");
  const { pushModel } = await import("../nats/push-model.js");
  // What no server could serve is not worth a place there.
  const { manifest, dir: modelDir } = await readModel(dir);
  await verifyFiles(modelDir, manifest);
  const { name, version } = parseName(flags.as ?? manifest.name);
  await withBucket(flags, "make", async (bucket, signal) => {
    const onProgress = progressOf("pushed");
    const pushed = await pushModel(bucket, { dir: modelDir, name, version, signal, onProgress });
    const { record, isNew, sentFiles, sentBytes } = pushed;
    // What nobody means yet, the first version is.
    const isFirst = (await bucket.defaultOf(name)) === null;
    if (flags.default === true) await bucket.moveDefault(record);
    else if (isFirst) await bucket.moveDefault(record, null);
    const isDefault = (await bucket.defaultOf(name)) === record.version;
    const shown = { ...shownRecord(record), isDefault, isNew, sentFiles, sentBytes };
    const there = record.files.length - sentFiles;
    const told = `${record.name}@${record.version}: ${sentFiles} files (${sizeText(sentBytes)}) sent, ${there} were there${isNew ? "" : "; the version was there already"}${isDefault ? `; ${name} means this version` : ""}\n`;
    print(flags, shown, () => told);
  });
}

async function list(flags: Flags): Promise<void> {
  await withBucket(flags, "find", async (bucket) => {
    const { records, defaults, damaged } = await bucket.list();
    const shown = records.map((record) => ({
      ...shownRecord(record),
      isDefault: defaults.get(record.name) === record.version,
    }));
    if (flags.json === true) printJson(shown);
    else if (shown.length === 0) tell("The store has no model.\n");
    else printText(tableText(shown));
    for (const { reason } of damaged) tell(`${reason}\n`);
  });
}

async function pull(model: string, flags: HubFlags): Promise<void> {
  const { pullFromHub, isOfHub } = await import("./models-pull.js");
  if (isOfHub(model, flags)) {
    await pullFromHub(model, flags);
    return;
  }
  if (flags.replace === true) {
    const message = "--replace is of a hub's repositories: from the store comes a new folder";
    throw new MillraceError("option_invalid", message);
  }
  const { fetchModel } = await import("../nats/fetch-model.js");
  await withBucket(flags, "find", async (bucket, signal) => {
    const record = await bucket.record(await versionOf(bucket, model));
    const target = flags.out ?? join(".", `${record.name}@${record.version}`);
    const onProgress = progressOf("fetched");
    await fetchModel(bucket, record, { target, signal, onProgress }).catch((error: unknown) => {
      if (!(error instanceof MillraceError && error.code === "output_exists")) throw error;
      throw new AdvisedError(error.code, error.message, "--out DIR names another folder.");
    });
    print(
      flags,
      { ...shownRecord(record), dir: target },
      () => `${record.name}@${record.version}: ${record.files.length} files in ${target}\n`,
    );
  });
}

async function makeDefault(model: string, flags: DefaultFlags): Promise<void> {
  await withBucket(flags, "find", async (bucket) => {
    const of = await wholeName(model);
    const { from } = await bucket.moveDefault(of, flags.from);
    const before = from === null ? "nothing" : `${of.name}@${from}`;
    const told = `${of.name} means ${model} now; before it meant ${before}\n`;
    print(flags, { ...of, from }, () => told);
  });
}

async function remove(model: string, flags: Flags): Promise<void> {
  await withBucket(flags, "find", async (bucket) => {
    const of = await wholeName(model);
    const removed = await bucket.remove(of);
    const told = `${model} is removed, with ${removed.files} files (${sizeText(removed.bytes)}) that no other version has\n`;
    print(flags, { ...of, removedFiles: removed.files, removedBytes: removed.bytes }, () => told);
  });
}

/** Connects, works, and lets go whatever the way out; Ctrl-C ends the work, and leaves nothing half of it. */
async function withBucket(
  flags: Flags,
  where: "make" | "find",
  work: (bucket: ModelBucket, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const {
    json: _json,
    as: _as,
    default: _default,
    out: _out,
    endpoint: _endpoint,
    revision: _revision,
    all: _all,
    replace: _replace,
    from: _from,
    ...others
  } = {
    ...(flags as Readonly<Record<string, unknown>>),
  };
  const { options } = configurationFrom(others);
  const { nats } = options;
  if (nats === null) {
    const message = `${flagOf("nats")} (${variableOf("nats")}) says which NATS the store is in`;
    throw new MillraceError("option_invalid", message);
  }
  const { NatsLink } = await import("../nats/connection.js");
  const { ModelBucket: Bucket } = await import("../nats/model-bucket.js");
  const ending = new AbortController();
  const onSignal = (): void => ending.abort(new MillraceError("cancelled", "stopped by a signal"));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const quiet = { info: () => {}, warn: () => {} };
  await using link = await NatsLink.open({ ...options, nats, name: "millrace models", log: quiet });
  try {
    const late = AbortSignal.timeout(connectMsMax);
    const connection = await link
      .whenConnected(AbortSignal.any([late, ending.signal]))
      .catch((error: unknown) => {
        leaveAnyway();
        if (!late.aborted) throw error;
        throw new MillraceError(
          "connection_failed",
          `NATS is not there: ${link.reason ?? "no answer"}`,
        );
      });
    const { natsPrefix: prefix, natsReplicas: replicas } = options;
    const bucket =
      where === "make"
        ? await Bucket.open(connection, { prefix, replicas })
        : await Bucket.find(connection, prefix);
    if (bucket === null) {
      const message = `there is no store of models under ${prefix} yet: the first push makes it`;
      throw new MillraceError("model_not_found", message);
    }
    await work(bucket, ending.signal);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    // Whatever it threw then: who stopped it knows why.
    process.exitCode = exitCodes.interrupted;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** What the library leaves open of a dial that nobody answered would keep this process for good. */
function leaveAnyway(): void {
  setTimeout(() => process.exit(), leaveMsMax).unref();
}

async function versionOf(
  bucket: ModelBucket,
  model: string,
): Promise<{ readonly name: string; readonly version: string }> {
  const { parseName } = await import("../nats/model-record.js");
  const { name, version } = parseName(model);
  const meant = version ?? (await bucket.defaultOf(name));
  if (meant !== null) return { name, version: meant };
  throw new MillraceError("model_not_found", `the store has no ${name}, or no default for it`);
}

async function wholeName(
  model: string,
): Promise<{ readonly name: string; readonly version: string }> {
  const { parseName } = await import("../nats/model-record.js");
  const { name, version } = parseName(model);
  if (version !== null) return { name, version };
  throw new MillraceError("option_invalid", `${model}: say which version, name@version`);
}

interface ShownRecord {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  readonly files: number;
  readonly bytes: number;
  readonly pushedAt: string;
}

function shownRecord({ name, version, sha256, files, pushedAt }: ModelRecord): ShownRecord {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { name, version, sha256, files: files.length, bytes, pushedAt };
}

function tableText(shown: readonly (ShownRecord & { readonly isDefault: boolean })[]): string {
  const rows = [
    ["", "model", "files", "size", "pushed"],
    ...shown.map(({ name, version, files, bytes, pushedAt, isDefault }) => [
      isDefault ? "*" : "",
      `${name}@${version}`,
      String(files),
      sizeText(bytes),
      pushedAt.slice(0, 16).replace("T", " "),
    ]),
  ];
  const widths = [0, 1, 2, 3, 4].map((at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  "));
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

export function sizeText(bytes: number): string {
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(1)} kB`;
  return bytes < 1_000_000_000
    ? `${(bytes / 1_000_000).toFixed(1)} MB`
    : `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}

/** On a terminal only, a few times a second. */
function progressOf(what: string): (doneBytes: number, allBytes: number) => void {
  let toldAtMs = 0;
  return (doneBytes, allBytes) => {
    const nowMs = performance.now();
    const isDone = doneBytes >= allBytes;
    if (!process.stderr.isTTY || (!isDone && nowMs - toldAtMs < 200)) return;
    toldAtMs = nowMs;
    const end = isDone ? "\n" : "";
    draw(`\r${what} ${sizeText(doneBytes)} of ${sizeText(allBytes)}\u001b[K${end}`);
  };
}
