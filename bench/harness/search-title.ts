/** What a search is called in what is printed. */
export function searchTitle(beams: number): string {
  return beams === 1 ? "greedy" : `${beams} beams`;
}
