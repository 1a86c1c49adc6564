/** READ FIRST of this folder. What the server does now, panel by panel; those with more to them have files of their own. */
import {
  type LeftOutModel,
  type NodeStatus,
  type StatusResponse,
  workClasses,
} from "millrace-client/wire";
import type { JSX } from "preact";
import { bytesText, countOf, countText, msText, shareText, spanText } from "../format.js";
import { lately, type Second } from "../live/history.js";
import type { LiveView } from "../live/live.js";
import { Spark } from "../parts/chart.js";
import { Meter, More, Panel, Pill, Prose, Table, type Tone, useOpened } from "../parts/panel.js";
import { Jobs } from "./jobs.js";
import { Lanes } from "./lanes.js";

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

interface TileProps {
  readonly title: string;
  readonly value: string;
  readonly note: string;
  readonly values: readonly number[];
  readonly above?: readonly number[];
  readonly tone?: string;
}

function Tile({ title, value, note, ...spark }: TileProps): JSX.Element {
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>
        <span class="value">{value}</span>
        <span class="note">{note}</span>
      </dd>
      <Spark {...spark} />
    </div>
  );
}

function Tiles({
  status,
  seconds,
}: {
  readonly status: StatusResponse;
  readonly seconds: readonly Second[];
}): JSX.Element {
  const { items, requests, queues, finished } = status;
  const queued = queues.reduce((sum, each) => sum + each.items, 0);
  const oldestMs = queues.reduce((most, each) => Math.max(most, each.oldestWaitMs), 0);
  const failed = items.failed + requests.refused;
  const of = (value: (second: Second) => number): number[] => seconds.map(value);
  // What the stages of others count differs from stage to stage, and has no sum.
  const counted = status.models.filter(({ unit }) => unit === "tokens").map(({ model }) => model);
  const tokensOf = ({ unitsPerSecond }: Second): number =>
    counted.reduce((sum, model) => sum + (unitsPerSecond.get(model) ?? 0), 0);
  return (
    <dl class="tiles" aria-label="At a glance">
      <Tile
        title="Items a second"
        value={countText(lately(seconds, (each) => each.itemsPerSecond))}
        note={`${countText(items.done)} done`}
        values={of((each) => each.itemsPerSecond)}
      />
      {counted.length > 0 && (
        <Tile
          title="Tokens a second"
          value={countText(lately(seconds, tokensOf))}
          note="as the runs took them"
          values={of(tokensOf)}
        />
      )}
      {workClasses.map((each) => {
        const { count = 0, p50Ms = 0, p99Ms = 0 } = finished?.[each] ?? {};
        return (
          <Tile
            key={each}
            title={`${each === "realtime" ? "Realtime" : "Bulk"} latency`}
            value={p50Ms === 0 ? "–" : msText(p50Ms)}
            note={
              p99Ms === 0 ? `${countOf(count, "request")} so far` : `p50 · p99 ${msText(p99Ms)}`
            }
            values={of(({ classes }) => classes[each].p50Ms)}
            above={of(({ classes }) => classes[each].p99Ms)}
            tone={each}
          />
        );
      })}
      <Tile
        title="Queued items"
        value={countText(queued)}
        note={queued === 0 ? "nobody waits" : `oldest ${msText(oldestMs)}`}
        values={of(({ classes }) => classes.realtime.queuedItems + classes.bulk.queuedItems)}
        tone="queue"
      />
      <Tile
        title="Refused and failed"
        value={countText(failed)}
        note={refusalsText(status)}
        values={of((each) => each.failedPerSecond + each.refusedPerSecond)}
        tone="bad"
      />
    </dl>
  );
}

/** The most frequent code. */
function refusalsText({ refusals = {}, items }: StatusResponse): string {
  const [most] = Object.entries(refusals).toSorted(([, left], [, right]) => right - left);
  if (most !== undefined) return `${most[0]} ${countText(most[1])}`;
  return items.retried > 0 ? `${countText(items.retried)} tried again` : "since the start";
}

function Queues({ status }: { readonly status: StatusResponse }): JSX.Element {
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

/** What a reason of `BatchRecord` means, in as many words. */
const reasonWords: Readonly<Record<string, string>> = {
  "pipeline-free": "a pipeline was free",
  full: "it was full",
  window: "its wait was over",
  aged: "an item had waited long",
  exclusive: "it had to run alone",
};

function Batches({ status }: { readonly status: StatusResponse }): JSX.Element {
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

function Memory({ status }: { readonly status: StatusResponse }): JSX.Element {
  const { process: own, pipelines, limits, models } = status;
  const cache = pipelines.reduce((sum, { cacheBytes }) => sum + cacheBytes, 0);
  const held = pipelines.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const loaded = pipelines.reduce(
    (sum, each) => sum + each.models.reduce((bytes, model) => bytes + model.bytes, 0),
    0,
  );
  const queuedItems = status.queues.reduce((sum, { items }) => sum + items, 0);
  const of = (value: number, max: number | undefined): string =>
    max === undefined || max === 0 ? bytesText(value) : `${bytesText(value)} of ${bytesText(max)}`;
  return (
    <Panel title="Memory and limits" note={`event loop p99 ${msText(own.eventLoopDelayP99Ms)}`}>
      <Meter
        label="Models loaded"
        value={loaded}
        max={limits?.modelMemoryBytes ?? 0}
        text={of(loaded, limits?.modelMemoryBytes)}
      />
      <Meter
        label="Queued bytes"
        value={own.queuedBytes}
        max={limits?.queuedBytesMax ?? 0}
        text={of(own.queuedBytes, limits?.queuedBytesMax)}
      />
      <Meter
        label="Queued items"
        value={queuedItems}
        max={limits?.queuedItemsMax ?? 0}
        text={`${countText(queuedItems)}${limits === undefined ? "" : ` of ${countText(limits.queuedItemsMax)}`}`}
      />
      <Meter
        label="Connections"
        value={own.connections}
        max={limits?.connectionsMax ?? 0}
        text={`${countText(own.connections)}${limits === undefined ? "" : ` of ${countText(limits.connectionsMax)}`}`}
      />
      <Meter label="Caches of generating rows" value={cache} max={0} text={bytesText(cache)} />
      <Meter label="Pipelines, resident" value={held} max={0} text={bytesText(held)} />
      <Meter
        label="Server process, resident"
        value={own.rssBytes}
        max={0}
        text={bytesText(own.rssBytes)}
      />
      <Meter
        label="Model loads, evictions"
        value={0}
        max={0}
        text={`${models.reduce((sum, { loads }) => sum + loads, 0)}, ${models.reduce((sum, { evictions }) => sum + evictions, 0)}`}
      />
    </Panel>
  );
}

const modelTones: Readonly<Record<StatusResponse["models"][number]["state"], Tone>> = {
  resident: "good",
  loading: "busy",
  "on-disk": "quiet",
  failed: "bad",
  "too-large": "bad",
};

function Models({ status }: { readonly status: StatusResponse }): JSX.Element {
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

/** What is not well is seen, however many there are; the others keep their places. */
function worstFirst<Row>(rows: readonly Row[], isBad: (row: Row) => boolean): readonly Row[] {
  return rows.toSorted((left, right) => Number(isBad(right)) - Number(isBad(left)));
}

function isWell({ state, draining }: NodeStatus): boolean {
  return state === "ready" && !draining;
}

function Nodes({ nodes }: { readonly nodes: NonNullable<LiveView["nodes"]> }): JSX.Element {
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
