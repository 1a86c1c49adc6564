/** Where to cut a sentence that is too long to stay whole. */

const clauseMarks = ",;:)]}–—…";
const clauseMarksWithoutSpace = "，、；：）】」』。！？";
const whiteSpace = /\s/;

/**
 * The best place in `(0, before]` to end a piece of the text: behind a clause mark, else at white space, else
 * between two code points. A piece has at least one code point, even where `before` is smaller.
 */
export function cutPlace(text: string, before: number): number {
  // A mark near the start would leave a crumb; there, white space further on is the better cut.
  for (let place = before; place > before / 3; place -= 1) {
    if (isClauseEnd(text, place)) return place;
  }
  for (let place = before; place > 1; place -= 1) {
    if (whiteSpace.test(text.charAt(place))) return place;
  }
  return codePointEdge(text, before);
}

/** `place`, or one less where it stands inside a surrogate pair; never 0. */
export function codePointEdge(text: string, place: number): number {
  if (!isInsidePair(text, place)) return Math.max(place, firstCodePointLength(text));
  return place > 1 ? place - 1 : 2;
}

export function firstCodePointLength(text: string): number {
  return (text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
}

function isInsidePair(text: string, place: number): boolean {
  if (place <= 0) return false;
  return (text.codePointAt(place - 1) ?? 0) > 0xffff;
}

function isClauseEnd(text: string, place: number): boolean {
  const mark = text.charAt(place - 1);
  if (clauseMarksWithoutSpace.includes(mark)) return true;
  return clauseMarks.includes(mark) && whiteSpace.test(text.charAt(place));
}
