/** READ FIRST of this folder. What the server does now: a file for each panel. */
import type { StatusResponse } from "millrace-client/wire";
import type { JSX } from "preact";
import type { LiveView } from "../live/live.js";
import { Prose } from "../parts/prose.js";
import { Batches } from "./batches.js";
import { Jobs } from "./jobs.js";
import { Lanes } from "./lanes.js";
import { Memory } from "./memory.js";
import { Models } from "./models.js";
import { Nodes } from "./nodes.js";
import { Queues } from "./queues.js";
import { Tiles } from "./tiles.js";

interface NowProps {
  readonly view: LiveView;
  readonly status: StatusResponse;
}

export function Now({ view, status }: NowProps): JSX.Element {
  const { seconds, findings, nodes } = view;
  const models = status.models.map(({ model }) => model);
  const [worst] = findings ?? [];
  return (
    <>
      {worst !== undefined && (
        <a class={`worst ${worst.severity}`} href="#why">
          <Prose text={worst.title} />
        </a>
      )}
      <Tiles status={status} seconds={seconds} />
      <Lanes {...{ status, seconds, models }} />
      {/* Columns, so that one that grows moves nothing beside it. */}
      <div class="columns">
        <div>
          <Queues status={status} />
          <Models status={status} />
        </div>
        <div>
          <Batches status={status} />
          <Jobs store={status.jobs} />
        </div>
        <div>
          <Memory status={status} />
          {nodes !== null && <Nodes nodes={nodes} />}
        </div>
      </div>
    </>
  );
}
