/** READ FIRST of this folder. A server in a state that was made on purpose, and what the doctor must say of it first. */
import type { FindingCode } from "#src/doctor/finding-table.js";
import type { DoctorWindow } from "#src/doctor/window.js";

export interface Situation {
  readonly name: string;
  /** Null: healthy. */
  readonly expected: FindingCode | null;
  /** A reason to leave it out on this machine. */
  readonly skip?: string | false;
  /** What was seen of it, of real servers as long as it takes. */
  readonly watch: () => Promise<DoctorWindow>;
}

export function situation(
  name: string,
  expected: FindingCode | null,
  watch: Situation["watch"],
): Situation {
  return { name, expected, watch };
}
