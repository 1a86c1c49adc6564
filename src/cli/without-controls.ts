/** Also what turns the direction of all that follows it: a name could stand there as another one. */
const controls = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu;

/** What a server, a file or a hub told, for a terminal: nothing in it moves the cursor, changes colours or types for the user. */
export function withoutControls(text: string): string {
  return text.replace(controls, " ");
}

/** Of whole texts: their lines and tabs stay. */
export function linesWithoutControls(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, " ");
}
