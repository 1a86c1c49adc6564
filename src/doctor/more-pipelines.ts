/** How much more it takes: told by several rules in the same words. */
import type { Figures } from "./figures.js";
import { count, percent, perSecond, round, times } from "./words.js";

/** Beyond what arrives, so that a queue becomes shorter again. */
const headroom = 1.1;

/** Beyond that something else is wrong, or one request was very large. */
const factorMax = 8;

/** So many times what there is now would do all that arrives, or nearly. */
export function neededFactor({ halves }: Figures): number {
  const arrived = halves.reduce((sum, { arrivedItems }) => sum + arrivedItems, 0);
  const ended = halves.reduce((sum, { endedItems }) => sum + endedItems, 0);
  return Math.min(factorMax, Math.max(1, (headroom * arrived) / Math.max(1, ended)));
}

export function moreCapacity(figures: Figures, factor: number): string {
  const { pipelines, after } = figures;
  const wanted = Math.max(pipelines.length + 1, Math.ceil(pipelines.length * factor));
  const machine = after.machine;
  const cheaper = "a model converted with `--precision int8`, where it is not";
  const nodes = `${count(Math.max(1, Math.ceil(factor) - 1), "node")} more of the same size (\`millrace serve --nats URL --role node\`)`;
  if (machine === undefined) return `--pipelines ${wanted}, or ${nodes}, or ${cheaper}`;
  const { cores, threads } = machine;
  if (wanted * threads <= cores)
    return `--pipelines ${wanted} --threads ${threads}: ${pipelines.length * threads} of ${cores} cores are used`;
  const room = Math.floor(cores / threads);
  const here = room > pipelines.length ? `--pipelines ${room}, and ` : "";
  return `${here}${nodes}, or ${cheaper}: each core here (${cores}) has a thread`;
}

/** Of one class of capacity. */
export function capacityEvidence({
  pipelines,
  busyShare,
  occupiedShare,
  items,
  windowMs,
}: Figures): string {
  const ended = perSecond(items.done, windowMs, "items");
  const busy = `computed ${percent(busyShare)} of the time and had work in ${percent(occupiedShare)} of the looks`;
  return `${count(pipelines.length, "pipeline")} ${busy}, and did ${ended}`;
}

export function doneNow({ items, windowMs }: Figures, factor: number): string {
  const now = (items.done * 1_000) / windowMs;
  return `${times(factor)} as many items: about ${round(now * factor)}/s`;
}

/** What one more brings, with a core of its own. */
export function eachMore({ items, windowMs, pipelines }: Figures): string {
  const each = items.done / Math.max(1, pipelines.length);
  return `Each pipeline more, with cores of its own, does about ${perSecond(each, windowMs, "items")} more.`;
}
