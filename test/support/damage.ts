/** Files that were damaged on the way: seeded, so that a failure can be repeated. */
import type { Random } from "../sim/random.js";

/** One to four bytes are others, between the two places; one file in ten is cut as well. */
export function damaged(
  whole: Uint8Array,
  random: Random,
  within: { readonly from: number; readonly to: number } = { from: 0, to: whole.byteLength },
): Buffer {
  const bytes = Buffer.from(whole);
  const flips = 1 + Math.floor(random.next() * 4);
  for (let flip = 0; flip < flips; flip += 1) {
    const at = within.from + Math.floor(random.next() * (within.to - within.from));
    bytes[at] = Math.floor(random.next() * 256);
  }
  return random.next() < 0.1 ? bytes.subarray(0, Math.floor(random.next() * bytes.length)) : bytes;
}
