/** Why batches left, and where requests spent their time. */
import { type StatusResponse, workClasses } from "millrace-client/wire";
import type { JSX } from "preact";
import { countText, msText, shareText } from "../format.js";
import { Meter } from "../parts/meter.js";
import { Panel } from "../parts/panel.js";
import { Table } from "../parts/table.js";

/** What a reason of `BatchRecord` means, in as many words. */
const reasonWords: Readonly<Record<string, string>> = {
  "pipeline-free": "a pipeline was free",
  full: "it was full",
  window: "its wait was over",
  aged: "an item had waited long",
  exclusive: "it had to run alone",
};

export function Batches({ status }: { readonly status: StatusResponse }): JSX.Element {
  const reasons = Object.entries(status.batches.byReason).toSorted(
    ([, left], [, right]) => right - left,
  );
  const all = reasons.reduce((sum, [, count]) => sum + count, 0);
  const { recent } = status.batches;
  const mean =
    recent.length === 0 ? 0 : recent.reduce((sum, { items }) => sum + items, 0) / recent.length;
  return (
    <Panel
      title="Why batches left"
      note={recent.length === 0 ? "none yet" : `${countText(mean)} items each, lately`}
    >
      {reasons.map(([reason, count]) => (
        <Meter
          key={reason}
          label={reasonWords[reason] ?? reason}
          value={0}
          max={0}
          text={`${countText(count)} · ${shareText(count / all)}`}
        />
      ))}
      {reasons.length === 0 && <p class="empty">No batch has left yet.</p>}
      <h3>Where requests spent their time, since the start</h3>
      <Table
        caption="Mean time of a request by class"
        rows={workClasses.filter((each) => (status.finished?.[each].count ?? 0) > 0)}
        rowKey={(row) => row}
        empty="No request has ended yet."
        columns={[
          { title: "Class", cell: (row) => row },
          ...(["prepareMs", "queueMs", "computeMs"] as const).map((field) => ({
            title: field.replace("Ms", ""),
            isNumber: true,
            cell: (row: "realtime" | "bulk") => {
              const sums = status.finished?.[row];
              return sums === undefined ? "–" : msText(sums[field] / sums.count);
            },
          })),
        ]}
      />
    </Panel>
  );
}
