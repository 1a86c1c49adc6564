/** As people read it: a case a line, a precision and a set of sentences a column. */

import { spread, spreadText } from "../../harness/machine.js";
import { markdownTable } from "../../harness/table.js";
import type { CaseResult } from "./run-case.js";

export function resultsTable(results: readonly CaseResult[], rivalName: string): string {
  const columns = [...new Set(results.map(({ column }) => column))];
  const rows = [...new Set(results.map(({ row }) => row))];
  const cell = (row: string, column: string): string => {
    const found = results.find((result) => result.row === row && result.column === column);
    if (found === undefined) return "";
    const [ours = "", theirs = ""] = [found.ours, found.theirs].map((values) =>
      spread(values).median.toFixed(0),
    );
    return `${spreadText(found.ratios, 2)} [${ours} : ${theirs}]`;
  };
  return markdownTable(
    [`Millrace ÷ ${rivalName} [sentences/s]`, ...columns],
    rows.map((row) => [row, ...columns.map((column) => cell(row, column))]),
  ).join("\n");
}
