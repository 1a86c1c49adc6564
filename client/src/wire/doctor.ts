/** What the doctor says of a server: `millrace doctor`, and each `status` event. docs/doctor.md has every code. */

export const findingSeverities = ["problem", "notice"] as const;

export interface Finding {
  /** Compare this, never the texts. */
  readonly code: string;
  /** `problem`: somebody's work waits, fails or is refused for it. `notice`: worth knowing, and nobody suffers. */
  readonly severity: (typeof findingSeverities)[number];
  readonly title: string;
  /** Figures with their units, of the time that was looked at. */
  readonly evidence: readonly string[];
  /** The flag, command or call. */
  readonly change: string;
  /** What that should bring, reckoned from the same time where it can be. */
  readonly expect: string;
}
