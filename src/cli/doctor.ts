/** `millrace doctor`: looks at a server for a while, or at what was seen of one, and says what holds it back. */
import { stat, writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { MillraceError } from "millrace-client";
import type { Account } from "../doctor/account.js";
import type { DoctorWindow } from "../doctor/window.js";
import { durationMs, durationText } from "../options/duration.js";
import { hasCode, messageOf } from "../work/thrown.js";
import { exitCodes } from "./exit-codes.js";
import { printDrawn, printJson } from "./print.js";
import { addServerFlags, refuseBoth, runRemote, type ServerFlags } from "./remote.js";

interface Flags extends ServerFlags {
  /** Milliseconds. */
  readonly for: number;
  readonly json?: boolean;
  readonly save?: string;
  readonly progress: boolean;
}

const examples = `
Examples:
  $ millrace doctor                                  looks for 30 s at the server on this machine
  $ millrace doctor https://10.0.0.7:8400            at another one; its key stands in MILLRACE_KEY, and may administrate
  $ millrace doctor --for 2m --save window.json      longer, and keeps what was seen
  $ millrace doctor window.json                      again, without the server
  $ millrace doctor --json | jq -r '.findings[].code'
`;

const forMsDefault = 30_000;

export function registerDoctor(program: Command): void {
  const command = program
    .command("doctor")
    .argument(
      "[server]",
      "its address, else --url; or a file that --save kept; - is standard input",
    )
    .summary("say what holds a server back, with evidence and what to change")
    .description(
      "Look at a server for a while, and say what holds it back, the worst first: the evidence, what to change, and what that should bring. Exit 0: healthy, or notices only; 11: problems. Ctrl-C tells what was seen so far.",
    );
  addServerFlags(command)
    .addOption(
      new Option("--for <time>", "how long to look: 500ms, 30s, 5m")
        .argParser(lookingTime)
        .default(forMsDefault, durationText(forMsDefault)),
    )
    .option("--json", "as JSON, one line: findings, account, the server's state")
    .option("--save <file>", "keep what was seen: figures and names, never what requests hold")
    .option("--no-progress", "no line about how long it still looks")
    .addHelpText("after", examples)
    .action((place: string | undefined, flags: Flags, called: Command) => {
      const isAddress = place !== undefined && /^https?:\/\//.test(place);
      if (place !== undefined) refuseBoth(place, called);
      const asked = isAddress ? { flags: { ...flags, url: place } } : { flags, file: place };
      return runRemote((signal) => diagnoseAndTell({ file: undefined, ...asked, signal }));
    });
}

interface Asked {
  readonly file: string | undefined;
  readonly flags: Flags;
  readonly signal: AbortSignal;
}

async function diagnoseAndTell({ file, flags, signal }: Asked): Promise<number> {
  if (flags.save !== undefined) await assertNew(flags.save);
  const window = await windowOf({ file, flags, signal });
  const { diagnose } = await import("../doctor/doctor.js");
  const { accountOf } = await import("../doctor/account.js");
  const { doctorText } = await import("./doctor/text.js");
  const findings = diagnose(window);
  const account: Account = accountOf(window);
  const coloured = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
  if (flags.json === true) printJson({ findings, account, status: window.after.status.state });
  else printDrawn(doctorText({ window, findings, account }, coloured));
  if (flags.save !== undefined) await save(flags.save, window);
  const isSick = findings.some(({ severity }) => severity === "problem");
  return isSick ? exitCodes.problemsFound : exitCodes.ok;
}

async function windowOf({ file, flags, signal }: Asked): Promise<DoctorWindow> {
  if (file === undefined) {
    const { lookAt } = await import("./doctor/look.js");
    return await lookAt({ ...flags, forMs: flags.for, signal });
  }
  const { readSavedWindow } = await import("./doctor/saved.js");
  return await readSavedWindow(file, signal);
}

/** Before the looking, and not behind it. */
async function assertNew(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found !== null) throw new MillraceError("output_exists", `${path} is there already`);
}

/** What is there already stays as it is. */
async function save(path: string, window: DoctorWindow): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(window)}\n`, { flag: "wx" });
  } catch (error) {
    const code = hasCode(error, "EEXIST") ? "output_exists" : "output_failed";
    throw new MillraceError(code, `${path}: ${messageOf(error)}`, { cause: error });
  }
}

const forMsMax = 3_600_000;

function lookingTime(value: string): number {
  const ms = durationMs(value);
  if (ms !== null && ms >= 1 && ms <= forMsMax) return ms;
  throw new InvalidArgumentError("No time like 30s or 5m, an hour at most.");
}
