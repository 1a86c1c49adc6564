/** What the commands that talk to a server share: its address, and how Ctrl-C and a closed pipe end them. */
import type { Command } from "commander";
import { MillraceError } from "millrace-client";
import { exitCodes } from "./exit-codes.js";
import { tellUnwritable } from "./program.js";
import { namedUrl, usualUrl } from "./server-url.js";

export interface ServerFlags {
  readonly url: string;
  readonly key?: string;
}

export function addServerFlags(command: Command): Command {
  command.option("--url <url>", "the server; else MILLRACE_URL, else the one that runs here");
  // No default of the flag: what it is depends on variables and a file, which help has no need to read.
  command.hook("preAction", (_, called) => {
    if (called.getOptionValue("url") !== undefined) return;
    called.setOptionValueWithSource("url", namedUrl() ?? usualUrl(), "default");
  });
  return addKeyFlag(command);
}

/**
 * Of a command that takes the server as an argument as well: which of the two would be asked is no guess of ours.
 * @throws MillraceError `option_invalid` where both name one
 */
export function flagsWith<Flags extends ServerFlags>(
  url: string | undefined,
  flags: Flags,
  called: Command,
): Flags {
  if (url === undefined) return flags;
  refuseBoth(url, called);
  return { ...flags, url };
}

/** @throws MillraceError `option_invalid` where --url was given beside an argument that says what is looked at */
export function refuseBoth(argument: string, called: Command): void {
  if (called.getOptionValueSource("url") !== "cli") return;
  throw new MillraceError("option_invalid", `${argument} and --url: name one of them`);
}

export function addKeyFlag(command: Command): Command {
  return command.option(
    "--key <key>",
    "the key, where it asks for one; better MILLRACE_KEY, which others cannot see",
  );
}

/** Who asks, as a client takes it. The variable is no default of the flag: help shows those. */
export function keyOf({ key = process.env["MILLRACE_KEY"] }: Pick<ServerFlags, "key">): {
  readonly apiKey?: string;
} {
  return key === undefined || key === "" ? {} : { apiKey: key };
}

/**
 * Runs a command under a signal that Ctrl-C or a closed pipe aborts, and sets the exit code. A second Ctrl-C ends at
 * once. Errors of the command itself are `run`'s of program.ts.
 */
export async function runRemote(run: (signal: AbortSignal) => Promise<number>): Promise<void> {
  const controller = new AbortController();
  let leaveWith: number | null = null;
  const leave = (code: number): void => {
    leaveWith = code;
    controller.abort();
  };
  const onInterrupt = (): void => leave(exitCodes.interrupted);
  const onPipe = (error: NodeJS.ErrnoException): void => {
    // The reader, `head` for example, has what it wanted.
    if (error.code === "EPIPE") {
      leave(exitCodes.ok);
      return;
    }
    tellUnwritable(error);
    leave(exitCodes.failed);
  };
  process.once("SIGINT", onInterrupt).once("SIGTERM", onInterrupt);
  process.stdout.on("error", onPipe);
  try {
    const code = await run(controller.signal);
    process.exitCode = leaveWith ?? code;
  } catch (error) {
    // What an abort throws is no news to the person who caused it.
    if (leaveWith === null) throw error;
    process.exitCode = leaveWith;
  } finally {
    process.off("SIGINT", onInterrupt).off("SIGTERM", onInterrupt);
  }
}
