/** What of a decoder's size decides how it runs best: its attention (convert/marian/decoder-attention.ts), and its rows. */

/** 64 rows of 16 tokens are 16 MiB then. Between 4 KiB and 24 KiB nothing was measured. */
const largeFromBytes = 16 * 1024;

/** Whether the past of many rows is more than a processor's caches hold: by the keys and values of one token. */
export function isLargeDecoder({
  layers,
  width,
}: {
  readonly layers: number;
  readonly width: number;
}): boolean {
  return layers * 2 * width * Float32Array.BYTES_PER_ELEMENT >= largeFromBytes;
}
