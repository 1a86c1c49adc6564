/** `millrace record`: what arrives at a running server, into a small file that `millrace plan` replays. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { Millrace, MillraceError } from "millrace-client";
import { type RecordLine, recordSecondsMax } from "millrace-client/wire";
import { durationMs, durationText } from "../options/duration.js";
import { exitCodes } from "./exit-codes.js";
import { print } from "./print.js";
import { addServerFlags, flagsWith, keyOf, runRemote, type ServerFlags } from "./remote.js";

interface Flags extends ServerFlags {
  readonly for: number;
  readonly out: string;
  readonly sizeMax: number;
  readonly json?: boolean;
}

const examples = `
The file holds when requests came, what they cost, of which class and model, their deadlines and ends, and what pipelines ran:
never what requests hold. Tenants are hashes under a key that the server makes for the recording and forgets with it.
Ctrl-C ends it before, and the file is good: zcat shows what is in it, and millrace plan replays it.
While nobody records, the server does nothing for it.

Examples:
  $ millrace record --for 10m --out monday.jsonl.gz     of the server on this machine
  $ millrace record http://10.0.0.7:8400 --for 1h --out hour.jsonl.gz
`;

const mib = 1024 * 1024;
const forMsDefault = 60_000;
const sizeMiBMaxDefault = 64;
/** The server tells something each second. */
const silenceMsMax = 10_000;

export function registerRecord(program: Command): void {
  const command = program
    .command("record")
    .summary("keep what arrives at a running server, for `plan`")
    .description(
      "Keep what arrives at a running server, without texts, in a file for `millrace plan`.",
    )
    .argument("[server]", "its address, else --url");
  addServerFlags(command)
    .addOption(
      new Option("--for <time>", "how long: 30s, 10m, 2h; a day at most")
        .argParser(recordingTime)
        .default(forMsDefault, durationText(forMsDefault)),
    )
    .requiredOption("--out <file>", "a new file; what is there is not overwritten")
    .addOption(
      new Option("--size-max <MiB>", "it ends when the file is so large")
        .argParser(mebibytes)
        .default(sizeMiBMaxDefault * mib, String(sizeMiBMaxDefault)),
    )
    .option("--json", "what was recorded, as JSON")
    .addHelpText("after", examples)
    .action((url: string | undefined, flags: Flags, called: Command) => {
      const asked = flagsWith(url, flags, called);
      return runRemote((signal) => recordToFile(asked, signal));
    });
}

async function recordToFile(flags: Flags, signal: AbortSignal): Promise<number> {
  const { RecordingWriter } = await import("../record/recording-file.js");
  await using client = new Millrace(flags.url, {
    retry: { attemptsMax: 1 },
    silenceMsMax,
    ...keyOf(flags),
  });
  const lines = client.record({ seconds: Math.ceil(flags.for / 1_000) }, { signal });
  // Asked before there is a file: a server that refuses leaves none.
  const first = await lines.next();
  if (first.done === true) throw new MillraceError("response_invalid", "the server told nothing");
  const seen = new Seen();
  await using file = await RecordingWriter.create(flags.out);
  const keep = async (line: RecordLine): Promise<void> => {
    seen.add(line);
    await file.write(line);
  };
  await keep(first.value);
  const why = await keepAll(lines, { keep, signal, isFull: () => file.bytes >= flags.sizeMax });
  if (why !== null) await keep({ type: "closed", atMs: seen.atMs, why });
  await file.close();
  const told = { file: flags.out, bytes: file.bytes, ...seen.told() };
  print(flags, told, view);
  if (why === "lost") {
    const message = `the connection broke after ${durationText(Math.round(seen.atMs))}; what was recorded until then is in ${flags.out}`;
    throw new MillraceError("connection_failed", message);
  }
  return exitCodes.ok;
}

/** Why nothing follows, where the server did not say so itself. */
async function keepAll(
  lines: AsyncIterable<RecordLine>,
  to: {
    readonly keep: (line: RecordLine) => Promise<void>;
    readonly signal: AbortSignal;
    readonly isFull: () => boolean;
  },
): Promise<"interrupted" | "size" | "lost" | null> {
  try {
    for await (const line of lines) {
      await to.keep(line);
      if (line.type === "closed") return null;
      if (to.isFull()) return "size";
    }
    return to.signal.aborted ? "interrupted" : "lost";
  } catch (error) {
    if (to.signal.aborted) return "interrupted";
    if (error instanceof MillraceError && error.code === "connection_failed") return "lost";
    throw error;
  }
}

interface Told {
  readonly file: string;
  readonly bytes: number;
  readonly ms: number;
  readonly why: string | null;
  readonly requests: number;
  readonly items: number;
  readonly ended: number;
  readonly refused: number;
  readonly leftOut: number;
}

class Seen {
  atMs = 0;
  #why: string | null = null;
  #requests = 0;
  #items = 0;
  #ended = 0;
  #refused = 0;
  #leftOut = 0;

  add(line: RecordLine): void {
    if ("atMs" in line) this.atMs = Math.max(this.atMs, line.atMs);
    switch (line.type) {
      case "request":
        this.#requests += 1;
        for (const [, , , count] of line.items) this.#items += count;
        return;
      case "end":
        this.#ended += 1;
        return;
      case "refused":
        this.#refused += 1;
        return;
      case "left-out":
        this.#leftOut += line.lines;
        return;
      case "closed":
        this.#why = line.why;
        return;
      case "head":
      case "runs":
      case "down":
      case "time":
    }
  }

  told(): Omit<Told, "file" | "bytes"> {
    const counts = { requests: this.#requests, items: this.#items, ended: this.#ended };
    const { atMs: ms } = this;
    return { ms, why: this.#why, ...counts, refused: this.#refused, leftOut: this.#leftOut };
  }
}

const endings: Readonly<Record<string, string>> = {
  time: "",
  interrupted: ", ended by Ctrl-C",
  size: ", ended because the file is as large as --size-max",
  stopping: ", ended because the server stopped",
  lost: ", ended because the connection broke",
};

function view({ file, bytes, ms, why, requests, items, refused, leftOut }: Told): string {
  const lost =
    leftOut === 0 ? "" : `\n${leftOut} lines were left out: they came faster than they were taken.`;
  const also = refused === 0 ? "" : `, ${refused} refused`;
  const seconds = (ms / 1_000).toFixed(1);
  return (
    `${file}: ${requests} requests of ${items} items${also} in ${seconds} s, ${bytes} bytes${endings[why ?? ""] ?? ""}${lost}\n` +
    `next: millrace plan ${file}\n`
  );
}

function recordingTime(value: string): number {
  const ms = durationMs(value);
  if (ms !== null && ms >= 1_000 && ms <= 1_000 * recordSecondsMax) return ms;
  throw new InvalidArgumentError("No time like 30s or 10m, a second at least and a day at most.");
}

function mebibytes(value: string): number {
  const count = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (count >= 1) return count * mib;
  throw new InvalidArgumentError("Not a whole number of MiB, from 1 on.");
}
