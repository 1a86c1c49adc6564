/** A job for people to read, and as an exit status. */
import type { JobStatus } from "millrace-client";
import { type ExitCode, exitCodes } from "../exit-codes.js";
import { errorText } from "../program.js";
import { withoutControls } from "../without-controls.js";

/** `job-1  in_progress  120/300 done, 2 failed, 12.3 lines/s, 15 s left` */
export function jobLine(status: JobStatus): string {
  const { id, state, lines, succeeded, failed, linesPerSecond, expectedEndAt } = status;
  const facts = [
    `${succeeded + failed}/${lines} done`,
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(linesPerSecond === null ? [] : [`${linesPerSecond} lines/s`]),
    ...(expectedEndAt === null ? [] : [`${secondsUntil(expectedEndAt)} s left`]),
  ];
  return `${withoutControls(`${id}  ${state}  ${facts.join(", ")}`)}\n`;
}

/** Why it failed as a whole; most jobs have none of these. */
export function jobErrors({ errors }: JobStatus): string {
  return errors
    .map(({ code, message, line }) =>
      errorText({ code, message: line === undefined ? message : `line ${line}: ${message}` }),
    )
    .join("");
}

export function hasJobEnded({ state }: JobStatus): boolean {
  return ["completed", "failed", "cancelled", "expired"].includes(state);
}

/** Of one that has not ended: ok, for nothing went wrong. */
export function exitOfJob({ state, failed }: JobStatus): ExitCode {
  if (state === "failed") return exitCodes.failed;
  const isPartial = state === "cancelled" || state === "expired";
  return isPartial || (state === "completed" && failed > 0) ? exitCodes.itemsFailed : exitCodes.ok;
}

function secondsUntil(time: string): number {
  return Math.max(0, Math.ceil((Date.parse(time) - Date.now()) / 1_000));
}
