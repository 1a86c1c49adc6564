/** JSON as people write it: with comments, and a comma behind the last entry. */

const textOrComment = /"(?:\\.|[^"\\])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const textOrLastComma = /"(?:\\.|[^"\\])*"|,(?=\s*[}\]])/g;

/** The same without both, every character at its place: what is wrong in it is told where it stands. */
export function plainJson(text: string): string {
  const blank = (part: string): string => part.replace(/[^\n]/g, " ");
  const keepText = (part: string): string => (part.startsWith('"') ? part : blank(part));
  return text.replace(textOrComment, keepText).replace(textOrLastComma, keepText);
}
