/** Rows of facts, of which the first ones are shown until somebody asks for more. */
import type { ComponentChildren, JSX } from "preact";
import { More, useOpened } from "./opened.js";

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
