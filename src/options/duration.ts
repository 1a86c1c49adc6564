/** Times of hours and days, as people write them. */
const unitsMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** `30d`, `12h`, `90m`, `45s`, `500ms` → milliseconds; a number is milliseconds already. Null: it is no such time. */
export function durationMs(raw: unknown): number | null {
  if (typeof raw === "number") return Number.isSafeInteger(raw) ? raw : null;
  if (typeof raw !== "string") return null;
  const [, digits = "", unit = ""] = /^(\d{1,12}) ?(d|h|m|s|ms)$/.exec(raw) ?? [];
  for (const [name, ms] of Object.entries(unitsMs)) if (name === unit) return Number(digits) * ms;
  return null;
}

/** In the largest unit that it is a whole number of. */
export function durationText(ms: number): string {
  const [unit, size] = Object.entries(unitsMs).find(([, each]) => ms % each === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}
