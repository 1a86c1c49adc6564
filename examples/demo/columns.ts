/** Text in columns on a terminal, where a Chinese character is two cells wide. */

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;

function cells(character: string): number {
  return wide.test(character) ? 2 : 1;
}

export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += cells(character);
  return width;
}

export function padEnd(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - widthOf(text)));
}

export function padStart(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - widthOf(text))) + text;
}

const closing = /[,.!?;:)、。，！？；：）」』”’]/u;

/**
 * Breaks at spaces, and inside words that are wider than a line, because Chinese has no spaces. A closing mark begins
 * no line: it may stand up to two cells over the width.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.match(/\S+\s*/gu) ?? []) {
    if (line !== "" && widthOf(line + word.trimEnd()) > width) {
      lines.push(line.trimEnd());
      line = "";
    }
    for (const character of word) {
      const fits = widthOf(line) + cells(character) <= width;
      if (!fits && character !== " " && (!closing.test(character) || widthOf(line) > width)) {
        lines.push(line);
        line = "";
      }
      line += character;
    }
  }
  return [...lines, line.trimEnd()];
}

export type Column = readonly [head: string, align: "left" | "right"];

/** Lines of a table, two spaces in, as wide as its cells need. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const heads = columns.map(([head]) => head);
  const widths = heads.map((head, at) =>
    Math.max(widthOf(head), ...rows.map((row) => widthOf(row[at] ?? ""))),
  );
  const line = (row: readonly string[]): string =>
    columns
      .map(([, align], at) =>
        (align === "left" ? padEnd : padStart)(row[at] ?? "", widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [heads, ...rows].map((row) => `  ${line(row)}`);
}
