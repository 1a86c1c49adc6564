/** Who waits: by model and class, and by tenant. */
import { type StatusResponse, workClasses } from "millrace-client/wire";
import type { JSX } from "preact";
import { countText, msText } from "../format.js";
import { Panel } from "../parts/panel.js";
import { Table } from "../parts/table.js";

export function Queues({ status }: { readonly status: StatusResponse }): JSX.Element {
  const { queues, tenants = [] } = status;
  const waiting = queues
    .filter(({ items }) => items > 0)
    .toSorted((left, right) => right.items - left.items);
  return (
    <Panel title="Queue" class="roomy" note={`${status.requests.active} requests open`}>
      <Table
        caption="Queues by model and class"
        rows={waiting}
        rowKey={(row) => `${row.model} ${row.class}`}
        empty="Nothing waits."
        columns={[
          { title: "Model", cell: ({ model }) => model },
          { title: "Class", cell: (row) => row.class },
          { title: "Items", isNumber: true, cell: ({ items }) => countText(items) },
          { title: "Tenants", isNumber: true, cell: (row) => countText(row.tenants) },
          { title: "Oldest", isNumber: true, cell: ({ oldestWaitMs }) => msText(oldestWaitMs) },
        ]}
      />
      <h3>
        Tenants with open requests
        {isCut(tenants) && ` (of a class the ${tenantsMax} with most items)`}
      </h3>
      <Table
        caption="Tenants with open requests"
        rows={tenants.toSorted((left, right) => right.items - left.items)}
        rowKey={(row) => `${row.tenant} ${row.class}`}
        rowsMax={10}
        empty="None."
        columns={[
          { title: "Tenant", cell: ({ tenant }) => tenant },
          { title: "Class", cell: (row) => row.class },
          { title: "Requests", isNumber: true, cell: ({ requests }) => countText(requests) },
          { title: "Items", isNumber: true, cell: ({ items }) => countText(items) },
          { title: "Oldest", isNumber: true, cell: ({ oldestMs }) => msText(oldestMs) },
        ]}
      />
    </Panel>
  );
}

/** As many of a class as a status tells of. */
const tenantsMax = 32;

function isCut(tenants: NonNullable<StatusResponse["tenants"]>): boolean {
  return workClasses.some(
    (each) => tenants.filter((row) => row.class === each).length >= tenantsMax,
  );
}
