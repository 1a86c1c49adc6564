/** Figures as people read them, with their units. */
export function ms(value: number): string {
  if (value >= 120_000) return `${round(value / 60_000)} min`;
  return value >= 1_000 ? `${round(value / 1_000)} s` : `${round(value)} ms`;
}

export function percent(share: number): string {
  return `${round(share * 100)}%`;
}

export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10));
  return `${round(value / 1024 ** power)} ${units[power]}`;
}

export function perSecond(value: number, windowMs: number, many: string): string {
  return `${round((value * 1_000) / windowMs)} ${many}/s`;
}

export function times(factor: number): string {
  return `${round(factor)} times`;
}

export function count(value: number, one: string, many = `${one}s`): string {
  return `${round(value)} ${value === 1 ? one : many}`;
}

/** Three digits that say something. */
export function round(value: number): string {
  if (!Number.isFinite(value)) return "0";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/** Of a name that a server told: one line, not a page, and nothing that a terminal would obey. */
export function oneLine(text: string): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ").trim();
  return line.length > 200 ? `${line.slice(0, 199)}…` : line;
}
