/** What a server, a file or a hub told, for a terminal: nothing in it moves the cursor, changes colours or types for the user. */
export function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

/** Of whole texts: their lines and tabs stay. */
export function linesWithoutControls(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, " ");
}
