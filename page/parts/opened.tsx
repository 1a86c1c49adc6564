/** A list that may be long: its first ones, and the way to see more. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";

/** Of a list that was opened: more would make each second slow. */
const openedMax = 300;

interface Opened<Item> {
  readonly shown: readonly Item[];
  readonly isOpen: boolean;
  /** Null: all are there without. */
  readonly onTurn: (() => void) | null;
}

/** The first of a list that may be long, until somebody wants to see more. */
export function useOpened<Item>(items: readonly Item[], usualMax: number): Opened<Item> {
  const [isWanted, setWanted] = useState(false);
  const isLong = items.length > usualMax;
  const isOpen = isWanted && isLong;
  const shown = items.slice(0, isOpen ? openedMax : usualMax);
  return { shown, isOpen, onTurn: isLong ? () => setWanted(!isWanted) : null };
}

interface MoreProps extends Pick<Opened<unknown>, "shown" | "isOpen"> {
  /** Null: nothing can be done about it. */
  readonly onTurn: (() => void) | null;
  readonly of: number;
  readonly what: string;
}

/** How many are not shown, and the way to see them. */
export function More({ shown, isOpen, onTurn, of, what }: MoreProps): JSX.Element | null {
  const left = of - shown.length;
  if (left <= 0 && !isOpen) return null;
  const all = Math.min(openedMax, of).toLocaleString("en-US");
  return (
    <p class="more">
      {left > 0 && <>and {left.toLocaleString("en-US")} more </>}
      {onTurn !== null && (
        <button type="button" class="quiet" onClick={onTurn} aria-expanded={isOpen}>
          {isOpen ? "Show fewer" : `Show ${all}`}
          <span class="hidden"> of {what}</span>
        </button>
      )}
    </p>
  );
}
