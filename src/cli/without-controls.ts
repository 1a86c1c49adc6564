/** What a server, a file or a hub told, for a terminal: nothing in it moves the cursor, changes colours or types for the user. */
export function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}
