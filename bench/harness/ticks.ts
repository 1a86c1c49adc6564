/** Round numbers along an axis, which hold all of its values between them. */
interface Axis {
  readonly from: number;
  readonly to: number;
  /** A logarithmic one begins above zero. */
  readonly scale: "linear" | "log";
}

const ticksAbout = 5;
const rounds = [1, 2, 5, 10] as const;

export function ticksOf({ from, to, scale }: Axis): readonly number[] {
  return scale === "log" ? logTicks(from, to) : linearTicks(from, to);
}

function linearTicks(from: number, to: number): readonly number[] {
  // Where there is one value only, its own size says what a step is.
  const rough = (to > from ? to - from : Math.abs(to) || 1) / ticksAbout;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * (rounds.find((round) => round * power >= rough) ?? 10);
  const first = Math.floor(from / step);
  const last = Math.max(first + 1, Math.ceil(to / step));
  return Array.from({ length: last - first + 1 }, (_, at) => tidy((first + at) * step));
}

/** 1, 2 and 5 times the powers of ten: from the last one that is not above `from` to the first that is not below `to`. */
function logTicks(from: number, to: number): readonly number[] {
  const powers: number[] = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power += 1)
    powers.push(power);
  const all = powers.flatMap((power) => [1, 2, 5].map((round) => tidy(round * 10 ** power)));
  const first = all.findLastIndex((tick) => tick <= from);
  const last = all.findIndex((tick) => tick >= to);
  const ticks = all.slice(Math.max(0, first), last + 1);
  return ticks.length > 1 ? ticks : all.slice(Math.max(0, first), last + 2);
}

function tidy(value: number): number {
  return Number(value.toPrecision(12));
}
