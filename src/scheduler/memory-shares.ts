/** What is known of a model's size. */
export interface SizedModel {
  readonly model: string;
  /** By its files: less it cannot take. */
  readonly leastBytes: number;
  /** As expected, or as measured where that is more. */
  readonly bytes: number;
  readonly isPinned: boolean;
}

/** What a model has of one pipeline's memory. */
export interface MemoryShare {
  /** It counts with this while it is there; one that takes more than it could have counts with all of that. */
  readonly bytes: number;
  /** The most that it could have, were all gone that may be. */
  readonly mostBytes: number;
  /** Its files alone are more than that: it is never loaded. */
  readonly isTooLarge: boolean;
}

/**
 * `models` in the order of their announcement. Whether one is too large is told by what their files say, and by nothing that
 * was measured: a process grows by more than a model for reasons of its own, and whoever was refused for it could never
 * be measured again. Who turned out to take more than there is counts with all of it instead: it is loaded alone, and
 * measured again.
 *
 * ```
 *   │ a, pinned │ b, pinned, is squeezed │ room for the largest of the others │
 *   │◄─ bytes ─►│◄──── at least its ────►│◄── of these each fits alone, and ─►│
 *   │           │        leastBytes      │    counts with no more than that   │
 * ```
 */
export function memoryShares(
  models: readonly SizedModel[],
  capacityBytes: number,
): ReadonlyMap<string, MemoryShare> {
  const shares = new Map<string, MemoryShare>();
  const tooLarge = (model: SizedModel, mostBytes: number): void => {
    const bytes = Math.min(model.bytes, capacityBytes);
    shares.set(model.model, { bytes, mostBytes: Math.max(0, mostBytes), isTooLarge: true });
  };
  // Of those that are pinned the first ones, as far as their files fit together.
  const pinned: SizedModel[] = [];
  let spareBytes = capacityBytes;
  for (const model of models) {
    if (!model.isPinned) continue;
    if (model.leastBytes > spareBytes) tooLarge(model, spareBytes);
    else {
      pinned.push(model);
      spareBytes -= model.leastBytes;
    }
  }
  const others = models.filter(({ isPinned }) => !isPinned);
  const able = new Set(others.filter(({ leastBytes }) => leastBytes <= spareBytes));
  for (const other of others) if (!able.has(other)) tooLarge(other, spareBytes);
  // What pinned models take beyond their files comes from what nobody needs at the least.
  spareBytes -= Math.max(0, ...[...able].map(({ leastBytes }) => leastBytes));
  let restBytes = capacityBytes;
  for (const { model, bytes, leastBytes } of pinned) {
    const mostBytes = leastBytes + spareBytes;
    const share = { bytes: Math.min(bytes, mostBytes), mostBytes, isTooLarge: false };
    shares.set(model, share);
    spareBytes -= share.bytes - leastBytes;
    restBytes -= share.bytes;
  }
  for (const { model, bytes } of able) {
    const share = { bytes: Math.min(bytes, restBytes), mostBytes: restBytes, isTooLarge: false };
    shares.set(model, share);
  }
  return shares;
}

/** In words, for people. */
export function tooLargeReason(leastBytes: number, mostBytes: number): string {
  return `it takes ${leastBytes} bytes by its files alone, and a pipeline has ${mostBytes} for it: raise --model-memory-bytes, have fewer --pipelines, or pin less with --preload`;
}
