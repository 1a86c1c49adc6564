/** How long a text is for protocols that count its letters and not their halves. */
export function codePointsOf(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    // The second half of a pair is counted with its first: texts with lone halves were refused.
    if (unit < 0xdc00 || unit > 0xdfff) count += 1;
  }
  return count;
}
