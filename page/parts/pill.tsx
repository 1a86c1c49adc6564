import type { JSX } from "preact";

export type Tone = "good" | "busy" | "bad" | "quiet";

/** A state: by its word, and by a colour. */
export function Pill({ tone, text }: { readonly tone: Tone; readonly text: string }): JSX.Element {
  return <span class={`pill ${tone}`}>{text}</span>;
}
