/** The models, where they are, and what could not be served. */
import type { LeftOutModel, StatusResponse } from "millrace-client/wire";
import type { JSX } from "preact";
import { bytesText, countOf, countText, msText } from "../format.js";
import { More, useOpened } from "../parts/opened.js";
import { Panel } from "../parts/panel.js";
import { Pill, type Tone } from "../parts/pill.js";
import { Table } from "../parts/table.js";
import { worstFirst } from "../parts/worst-first.js";

const modelTones: Readonly<Record<StatusResponse["models"][number]["state"], Tone>> = {
  resident: "good",
  loading: "busy",
  "on-disk": "quiet",
  failed: "bad",
  "too-large": "bad",
};

export function Models({ status }: { readonly status: StatusResponse }): JSX.Element {
  const { models, leftOut = [] } = status;
  return (
    <Panel title="Models" note={`${countText(models.length)} served`}>
      {leftOut.length > 0 && <LeftOut folders={leftOut} />}
      <Table
        caption="Models"
        rows={worstFirst(models, ({ state }) => modelTones[state] === "bad")}
        rowKey={({ model }) => model}
        empty="No model is served."
        columns={[
          {
            title: "Model",
            cell: ({ model, reason }) => (
              <>
                {model}
                {reason !== null && <span class="reason">{reason}</span>}
              </>
            ),
          },
          {
            title: "State",
            cell: ({ state }) => <Pill tone={modelTones[state]} text={state} />,
          },
          { title: "In", cell: ({ pipelines }) => placesText(pipelines) },
          { title: "Size", isNumber: true, cell: ({ bytes }) => bytesText(bytes) },
          { title: "Load", isNumber: true, cell: ({ loadMs }) => msText(loadMs) },
        ]}
      />
    </Panel>
  );
}

const placesCharactersMax = 20;

/** Their names where there is room for them. */
function placesText(names: readonly string[]): string {
  const text = names.join(", ");
  if (text.length <= placesCharactersMax) return text === "" ? "–" : text;
  return countOf(names.length, "pipeline").replace(" ", "\u00a0");
}

/** Folders of models that cannot be served. */
function LeftOut({ folders }: { readonly folders: readonly LeftOutModel[] }): JSX.Element {
  const list = useOpened(folders, leftOutMax);
  return (
    <>
      <ul class="left-out" aria-label="Folders that are not served">
        {list.shown.map(({ dir, reason }) => (
          <li key={dir}>
            <Pill tone="bad" text="left out" /> <strong>{dir}</strong>{" "}
            <span class="reason">{reason}</span>
          </li>
        ))}
      </ul>
      <More {...list} of={folders.length} what="the folders that are not served" />
    </>
  );
}

const leftOutMax = 3;
