/** A titled part of the page, and what many of them hold. */
import type { ComponentChildren, JSX } from "preact";
import { useId, useState } from "preact/hooks";

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

interface Column<Row> {
  readonly title: string;
  readonly isNumber?: boolean;
  readonly cell: (row: Row) => ComponentChildren;
}

interface TableProps<Row> {
  /** For who does not see what is around it. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  readonly rowsMax?: number;
  /** Where there is no row. */
  readonly empty: string;
}

const rowsMaxDefault = 12;

/** So many are shown until somebody asks for more, then these; how many are not is said. The first column names the row. */
export function Table<Row>(props: TableProps<Row>): JSX.Element {
  const { caption, columns, rows, rowKey, rowsMax = rowsMaxDefault, empty } = props;
  const list = useOpened(rows, rowsMax);
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    <>
      {/* What is larger than its place is scrolled, also by keys. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: as said */}
      <div
        class={`scroll ${list.isOpen ? "tall" : ""}`}
        tabIndex={0}
        role="group"
        aria-label={caption}
      >
        <table>
          <caption class="hidden">{caption}</caption>
          <thead>
            <tr>
              {columns.map(({ title, isNumber }) => (
                <th key={title} scope="col" class={isNumber === true ? "number" : ""}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {list.shown.map((row) => (
              <tr key={rowKey(row)}>
                {columns.map(({ title, isNumber, cell }, at) =>
                  at === 0 ? (
                    <th key={title} scope="row">
                      {cell(row)}
                    </th>
                  ) : (
                    <td key={title} class={isNumber === true ? "number" : ""}>
                      {cell(row)}
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <More {...list} of={rows.length} what={caption} />
    </>
  );
}

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

/** What stands between backticks is to be typed. */
export function Prose({ text }: { readonly text: string }): JSX.Element {
  return (
    <>{text.split("`").map((part, at) => (at % 2 === 0 ? part : <code key={at}>{part}</code>))}</>
  );
}

export type Tone = "good" | "busy" | "bad" | "quiet";

/** A state: by its word, and by a colour. */
export function Pill({ tone, text }: { readonly tone: Tone; readonly text: string }): JSX.Element {
  return <span class={`pill ${tone}`}>{text}</span>;
}

interface MeterProps {
  readonly label: string;
  readonly value: number;
  /** 0: there is no limit. */
  readonly max: number;
  readonly text: string;
}

/** How much of a limit is taken. */
export function Meter({ label, value, max, text }: MeterProps): JSX.Element {
  const share = max <= 0 ? 0 : Math.min(1, value / max);
  const tone = share > 0.9 ? "bad" : share > 0.7 ? "busy" : "good";
  return (
    <div class="meter">
      <span class="meter-label">{label}</span>
      <span class="meter-text">{text}</span>
      {max > 0 && (
        <span
          class="meter-bar"
          role="meter"
          aria-label={label}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(share * 100)}
          aria-valuetext={text}
        >
          <span class={`meter-fill ${tone}`} style={{ width: `${share * 100}%` }} />
        </span>
      )}
    </div>
  );
}
