/**
 * Intl.Segmenter ends a sentence at every full stop before a capital. These rules say where it was none. They
 * err on the side of the cut: two halves are translated worse than a whole, two wholes as one hardly better.
 */

/** A name or a number follows: never the end of a sentence. */
const alwaysInside = words(
  "Mr Mrs Ms Mx Messrs Mme Mlle Dr Prof Rev Hon Gen Col Capt Lt Sgt Cmdr Adm Gov Sen Rep Pres Supt " +
    "St Mt Ft e.g i.e cf vs viz approx ca al Fig Figs Eq Vol Ch Sec Art pp ed eds Hr Fr Nr bzw z.B d.h u.a",
);
/** A number follows, else it is the end: "No. 5" and "No. Never." */
const insideBeforeNumber = words(
  "No Nos no nos p Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec",
);
/** The end only where a word follows that often begins a sentence. */
const perhapsInside = words(
  "Inc Ltd Co Corp Bros Jr Sr Ave Blvd Rd Ph.D M.D B.A M.A a.m p.m A.M P.M",
);

const sentenceStarters = words(
  "The This That These Those It Its He His She Her We Our You Your They Their I My A An In On At For From " +
    "With By As If When While After Before But And Or So Yet Then There Here What Who Why How Where Which " +
    "However Meanwhile Moreover Today Yesterday Tomorrow Some Many Most All No Not Yes Is Are Was Were Do Did",
);

const lastWordWithStop = /(?:^|[\s("'“‘«[])([\p{L}\p{M}.]+)\.$/u;
const initials = /^(?:\p{Lu}\.)*\p{Lu}$/u;
const firstWord = /^["'“‘«([]*([\p{L}\p{M}'’]+)/u;
const listMarker = /^\(?(?:\p{Nd}{1,3}|\p{L})[.)]$/u;
const quotedEnd = /[!?…]["'”’»)\]]+$/;
const startsSmall = /^\p{Ll}/u;
const startsWithNumber = /^[#(]?\p{Nd}/u;

/** Whether `before` and `after`, both without white space at their ends, are one sentence that was cut in two. */
export function isWrongCut(before: string, after: string): boolean {
  if (listMarker.test(before)) return true;
  // "Stop!" he said.
  if (quotedEnd.test(before)) return startsSmall.test(after);
  const word = lastWordWithStop.exec(before)?.[1];
  if (word === undefined) return false;
  if (alwaysInside.has(word)) return true;
  if (insideBeforeNumber.has(word)) return startsWithNumber.test(after);
  if (word === "I" || (!initials.test(word) && !perhapsInside.has(word))) return false;
  const next = firstWord.exec(after)?.[1];
  return next !== undefined && !sentenceStarters.has(next);
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.split(" "));
}
