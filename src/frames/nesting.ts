/** Whether JSON has more than so many brackets open at once: looked at before it is parsed, which takes time and memory. */
export function isNestedDeeper(json: Uint8Array, depthMax: number): boolean {
  let depth = 0;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] ?? 0;
    if (byte === quote) at = endOfText(json, at + 1);
    else if ((byte | curly) === open) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if ((byte | curly) === close) depth -= 1;
  }
  return false;
}

const quote = 0x22;
const backslash = 0x5c;
/** The bit that makes a square bracket a curly one. */
const curly = 0x20;
const open = 0x7b;
const close = 0x7d;

/** Where the closing quote is. */
function endOfText(json: Uint8Array, from: number): number {
  let at = from;
  while (at < json.length && json[at] !== quote) at += json[at] === backslash ? 2 : 1;
  return at;
}
