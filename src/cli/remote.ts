/** What the commands that talk to a server share: its address, Ctrl-C, and what a failure exits with. */
import { type ErrorCode, MillraceError } from "millrace-client";
import { exitCodes } from "./exit-codes.js";

export const defaultUrl: string = process.env["MILLRACE_URL"] ?? "http://127.0.0.1:8400";

/** Runs a command under a signal that Ctrl-C or a closed pipe aborts, and sets the exit code. A second Ctrl-C ends at once. */
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
    if (error.code === "EPIPE") leave(exitCodes.ok);
    else throw error;
  };
  process.once("SIGINT", onInterrupt).once("SIGTERM", onInterrupt);
  process.stdout.on("error", onPipe);
  try {
    const code = await run(controller.signal);
    process.exitCode = leaveWith ?? code;
  } catch (error) {
    if (leaveWith === null) process.stderr.write(`millrace: ${describe(error)}\n`);
    process.exitCode = leaveWith ?? exitCodeOf(error);
  } finally {
    process.off("SIGINT", onInterrupt).off("SIGTERM", onInterrupt);
  }
}

export function describe(error: unknown): string {
  if (error instanceof MillraceError) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}

function exitCodeOf(error: unknown): number {
  if (!(error instanceof MillraceError)) return exitCodes.failed;
  if (error.code === "option_invalid") return exitCodes.usage;
  const away: readonly ErrorCode[] = ["connection_failed", "not_ready", "draining"];
  return away.includes(error.code) ? exitCodes.unreachable : exitCodes.failed;
}
