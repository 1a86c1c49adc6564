/** Sentences of the server with what is to be typed in them. */
import type { JSX } from "preact";

/** What stands between backticks is to be typed. */
export function Prose({ text }: { readonly text: string }): JSX.Element {
  return (
    <>{text.split("`").map((part, at) => (at % 2 === 0 ? part : <code key={at}>{part}</code>))}</>
  );
}
