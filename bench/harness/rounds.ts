/** Rounds in which the variants take turns: what the machine does beside them meets all alike. */

/**
 * A value of each variant and round, by variant. The round's number says who begins, so that nobody always has the machine as the
 * same other one left it.
 */
export async function inTurns<Variant, Value>(
  variants: readonly Variant[],
  rounds: number,
  measure: (variant: Variant, round: number) => Promise<Value>,
): Promise<ReadonlyMap<Variant, readonly Value[]>> {
  const values = new Map<Variant, Value[]>(variants.map((variant) => [variant, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const at of variants.keys()) {
      const variant = variants[(at + round) % variants.length];
      if (variant !== undefined) values.get(variant)?.push(await measure(variant, round));
    }
  }
  return values;
}
