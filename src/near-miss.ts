/** "Did you mean …": the nearest known name to one that is not known. */

/** Null where nothing is near enough to be worth saying. */
function nearMiss(unknown: string, known: Iterable<string>): string | null {
  // A name longer than any that we have is no typing mistake; comparing it would only cost time.
  if (unknown.length > 64) return null;
  let best: string | null = null;
  let bestDistance = Math.floor(Math.max(unknown.length, 3) / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(fold(unknown), fold(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The end of a message about an unknown name: empty where nothing is near. */
export function didYouMean(unknown: string, known: Iterable<string>): string {
  const near = nearMiss(unknown, known);
  return near === null ? "" : ` (did you mean \`${near}\`?)`;
}

/** `max_length`, `max-length` and `maxLength` are the same mistake. */
function fold(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, "");
}

/** Insertions, deletions, replacements and swaps of neighbours; three rows of the table at a time. */
function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = (last[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      const isSwap = i > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1];
      const swapped = isSwap ? (beforeLast[j - 2] ?? 0) + 1 : replaced;
      row.push(Math.min(replaced, swapped, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    beforeLast = last;
    last = row;
  }
  return last[right.length] ?? 0;
}
