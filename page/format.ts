/** Numbers as people read them: few digits, a unit behind them. */

/** 0.42, 3.1, 64, 1,284, 12.8k, 3.4M. */
export function countText(count: number): string {
  if (count >= 10_000_000) return `${fixed(count / 1_000_000, 1)}M`;
  if (count >= 1_000_000) return `${fixed(count / 1_000_000, 2)}M`;
  if (count >= 10_000) return `${fixed(count / 1_000, 1)}k`;
  if (count >= 100 || Number.isInteger(count)) return Math.round(count).toLocaleString("en-US");
  return count >= 10 ? fixed(count, 1) : fixed(count, 2);
}

export function msText(ms: number): string {
  if (ms < 10) return `${fixed(ms, 1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${fixed(ms / 1_000, ms < 10_000 ? 2 : 1)} s`;
  return spanText(ms);
}

/** 42 s, 3 min 7 s, 5 h 2 min, 12 d 4 h. */
export function spanText(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const parts: readonly (readonly [number, string])[] =
    minutes < 60
      ? [
          [minutes, "min"],
          [seconds % 60, "s"],
        ]
      : hours < 24
        ? [
            [hours, "h"],
            [minutes % 60, "min"],
          ]
        : [
            [Math.floor(hours / 24), "d"],
            [hours % 24, "h"],
          ];
  return parts
    .filter(([amount], at) => at === 0 || amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** Of what ends or has ended: 42 s, 3 min, 5 h, 12 d. */
export function roughText(ms: number): string {
  const [amount = "", unit = ""] = spanText(Math.max(0, ms)).split(" ");
  return `${amount} ${unit}`;
}

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

export function bytesText(bytes: number): string {
  let [amount, unit] = [bytes, 0];
  while (amount >= 1_024 && unit < byteUnits.length - 1) {
    amount /= 1_024;
    unit += 1;
  }
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : fixed(amount, 1)} ${byteUnits[unit]}`;
}

/** Of 0 to 1. */
export function shareText(share: number): string {
  const percent = share * 100;
  return `${percent > 0 && percent < 10 ? fixed(percent, 1) : Math.round(percent)}%`;
}

/** `noun` in the singular, with an s for all others. */
export function countOf(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function fixed(value: number, digits: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}
