/** The servers of the deployment. */
import type { NodeStatus } from "millrace-client/wire";
import type { JSX } from "preact";
import { countText, msText, spanText } from "../format.js";
import type { LiveView } from "../live/live.js";
import { Panel } from "../parts/panel.js";
import { Pill } from "../parts/pill.js";
import { Table } from "../parts/table.js";
import { worstFirst } from "../parts/worst-first.js";

export function Nodes({ nodes }: { readonly nodes: NonNullable<LiveView["nodes"]> }): JSX.Element {
  return (
    <Panel
      title="Nodes"
      note={`${countText(nodes.filter(isWell).length)} of ${countText(nodes.length)} ready`}
    >
      <Table
        caption="Nodes of the deployment"
        rows={worstFirst(nodes, (node) => !isWell(node))}
        rowKey={({ instance }) => instance}
        empty="No other server is heard of."
        columns={[
          { title: "Node", cell: ({ node }) => node },
          {
            title: "State",
            cell: (node) => (
              <Pill
                tone={isWell(node) ? "good" : "busy"}
                text={node.draining ? "draining" : node.state}
              />
            ),
          },
          { title: "Role", cell: ({ role }) => role },
          { title: "Pipelines", isNumber: true, cell: ({ pipelines }) => pipelines },
          { title: "Wait", isNumber: true, cell: ({ waitMs }) => msText(waitMs.realtime) },
          { title: "Heard", isNumber: true, cell: ({ ageMs }) => spanText(ageMs) },
        ]}
      />
    </Panel>
  );
}

function isWell({ state, draining }: NodeStatus): boolean {
  return state === "ready" && !draining;
}
