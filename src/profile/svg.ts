/** What all drawings have in common. */

/** Of a light and of a dark page. */
export const shades = [
  { page: "#fff", ink: "#1f2328", soft: "#59636e", grid: "#d8dee4" },
  { page: "#0d1117", ink: "#f0f6fc", soft: "#9198a1", grid: "#30363d" },
] as const;

/** A tenth of a pixel is more than anybody sees. */
export function fixed(value: number): string {
  return String(Number(value.toFixed(1)));
}

/** Names are a stranger's: what no XML may have, as it is or escaped, is shown as a character that nobody knows. */
export function escaped(text: string): string {
  return text
    .replaceAll(notXml, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

const notXml = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;
