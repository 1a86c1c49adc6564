/** Lines → requests that keep within a server's limits. */

/** Requests of a large file stay this small, unless the caller says otherwise. */
const requestTextsMax = 1000;
const requestCharactersMax = 262_144;

/** `places` are the lines to send; `requestTexts` is the caller's limit, 0 for one request of all. */
export function packLines(
  places: readonly number[],
  lines: readonly string[],
  requestTexts: number | undefined,
): number[][] {
  if (requestTexts === 0) return places.length > 0 ? [[...places]] : [];
  const textsMax = requestTexts ?? requestTextsMax;
  const requests: number[][] = [];
  let request: number[] = [];
  let characters = 0;
  for (const at of places) {
    const length = lines[at]?.length ?? 0;
    const isFull = request.length >= textsMax || characters + length > requestCharactersMax;
    if (request.length > 0 && isFull) {
      requests.push(request);
      request = [];
      characters = 0;
    }
    request.push(at);
    characters += length;
  }
  return request.length > 0 ? [...requests, request] : requests;
}
