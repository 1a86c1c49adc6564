/** What was seen of situations once, by record.ts. */
import { fileURLToPath } from "node:url";
import { readWindow } from "#src/doctor/read-window.js";
import type { DoctorWindow } from "#src/doctor/window.js";

export const recordedFile: string = fileURLToPath(
  new URL("../../../../test/fixtures/doctor.jsonl", import.meta.url),
);

export interface Recorded {
  readonly name: string;
  readonly window: DoctorWindow;
}

/** A line each. */
export function readRecorded(text: string): readonly Recorded[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { name, window } = JSON.parse(line) as Recorded;
      const read = readWindow(window);
      if ("problem" in read) throw new Error(`${name}: ${read.problem}`);
      return { name, window: read.value };
    });
}
