import type { Arena } from "#src/runtime/generation/arena.js";

/**
 * What a run of the decoder does to an arena: one more token for every row, where the row's past ends. `step` is
 * `[rows, layers, key or value, heads, size]`.
 */
export function appendTokens(arena: Arena, step: Float32Array): void {
  const { layers, heads, size, width } = arena.shape;
  const tokenFloats = layers * 2 * heads * size;
  for (let row = 0; row < arena.count * width; row += 1) {
    const length = arena.lengths[Math.floor(row / width)] ?? 0;
    for (const [layer, { pastKey, pastValue }] of arena.layers.entries()) {
      for (const [kind, past] of [pastKey, pastValue].entries()) {
        for (let head = 0; head < heads; head += 1) {
          const from = row * tokenFloats + ((layer * 2 + kind) * heads + head) * size;
          const start = (row * heads + head) * arena.pastWidth;
          past.set(step.subarray(from, from + size), (start + length) * size);
        }
      }
    }
  }
  arena.advance();
}
