/** The query of a request's target; a fragment, which no client should send, is none of it. */
export function queryOf(url: string): URLSearchParams {
  const at = url.indexOf("?");
  return new URLSearchParams(at === -1 ? "" : url.slice(at + 1).replace(/#.*$/s, ""));
}
