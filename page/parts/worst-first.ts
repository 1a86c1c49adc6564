/** What is not well is seen, however many there are; the others keep their places. */
export function worstFirst<Row>(
  rows: readonly Row[],
  isBad: (row: Row) => boolean,
): readonly Row[] {
  return rows.toSorted((left, right) => Number(isBad(right)) - Number(isBad(left)));
}
