/** Which ways there are to give the cores to pipelines, and which of them was the best. Pure. */

export interface CoreLayout {
  readonly pipelines: number;
  readonly threads: number;
}

export interface MeasuredLayout extends CoreLayout {
  /** Of all pipelines together. */
  readonly itemsPerSecond: number;
}

/** What is not faster by more than this is no reason for another process. */
const tieShare = 0.03;

/**
 * One pipeline with all threads, one thread each, and the powers of two between them; fewest pipelines first. Only what
 * uses nearly all cores: six cores are 2 × 3 and not 4 × 1.
 */
export function layoutsOf(cores: number, pipelinesMax: number): CoreLayout[] {
  const layouts: CoreLayout[] = [];
  for (let pipelines = 1; pipelines < cores; pipelines *= 2) {
    const threads = Math.floor(cores / pipelines);
    if (threads > 1 && threads * pipelines > 0.75 * cores) layouts.push({ pipelines, threads });
  }
  layouts.push({ pipelines: cores, threads: 1 });
  return layouts.filter(({ pipelines }) => pipelines <= pipelinesMax);
}

/** The fastest, or one of fewer pipelines that is as fast; null of none. */
export function bestOf(measured: readonly MeasuredLayout[]): MeasuredLayout | null {
  const most = Math.max(...measured.map(({ itemsPerSecond }) => itemsPerSecond));
  const asFast = measured.filter(({ itemsPerSecond }) => itemsPerSecond >= most * (1 - tieShare));
  asFast.sort((left, right) => left.pipelines - right.pipelines);
  return asFast[0] ?? null;
}

/**
 * Of the items per second of each layout's runs: whether two runs of the fastest are as fast as anything else ever was. Where one run
 * of it alone is, the others of it, or those of another, may have shared the machine.
 */
export function isOneBest(runs: readonly (readonly number[])[]): boolean {
  const sorted = runs.map((rates) => rates.toSorted((left, right) => right - left));
  sorted.sort(([left = 0], [right = 0]) => right - left);
  const [[, again = 0] = [], ...others] = sorted;
  return others.every(([most = 0]) => again >= most * (1 - tieShare));
}

/** In words, for people: the one that was chosen first. */
export function describeLayouts(measured: readonly MeasuredLayout[]): string {
  const best = bestOf(measured);
  const text = ({ pipelines, threads, itemsPerSecond }: MeasuredLayout): string =>
    `${pipelines} × ${threads}: ${itemsPerSecond.toFixed(0)} items/s`;
  return [...measured]
    .sort((left, right) => Number(right === best) - Number(left === best))
    .map(text)
    .join(", ");
}
