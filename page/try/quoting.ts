/** Words that somebody wrote, as a shell and JavaScript read them back. */

/** As one word of a POSIX shell, whatever is in it. */
export function shellQuoted(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** As source text of JavaScript. */
export function sourceOf(value: unknown): string {
  // JSON may hold two line ends that a script before 2019 took for its own.
  return JSON.stringify(value, null, 2)
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}
