/**
 * READ FIRST of this folder: what several views are built of; each file is one thing to be seen, or one rule of how it is shown.
 * Here: a titled part of the page.
 */
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface PanelProps {
  readonly title: string;
  /** Beside the title: what it is of, in a few words. */
  readonly note?: ComponentChildren;
  readonly class?: string;
  readonly children: ComponentChildren;
}

export function Panel({ title, note, children, class: own = "" }: PanelProps): JSX.Element {
  const id = useId();
  return (
    <section class={`panel ${own}`} aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{title}</h2>
        {note !== undefined && <div class="note">{note}</div>}
      </header>
      {children}
    </section>
  );
}
