/** A titled part of the page, and what many of them hold. */
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

/** However many rows there are, so many are shown; how many are not is said. The first column names the row. */
export function Table<Row>(props: TableProps<Row>): JSX.Element {
  const { caption, columns, rows, rowKey, rowsMax = rowsMaxDefault, empty } = props;
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    // What is wider than the screen is scrolled, also by keys.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: as said
    <div class="scroll" tabIndex={0} role="group" aria-label={caption}>
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
          {rows.slice(0, rowsMax).map((row) => (
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
      <More shown={rowsMax} of={rows.length} />
    </div>
  );
}

export function More({
  shown,
  of,
}: {
  readonly shown: number;
  readonly of: number;
}): JSX.Element | null {
  return of > shown ? <p class="more">and {(of - shown).toLocaleString("en-US")} more</p> : null;
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
