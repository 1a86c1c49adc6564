/** Each pipeline as a lane of its last two minutes: a column a second, as high as it was busy, in the colours of its models. */
import type { PipelineFault, PipelineStatus, StatusResponse } from "millrace-client/wire";
import type { JSX } from "preact";
import { bytesText, countText, shareText, spanText } from "../format.js";
import { isDown, type PipelineSecond, type Second, secondsMax, sumsOf } from "../live/history.js";
import { colourOf } from "../parts/colours.js";
import { More, useOpened } from "../parts/opened.js";
import { Panel } from "../parts/panel.js";
import { Pill, type Tone } from "../parts/pill.js";
import { worstFirst } from "../parts/worst-first.js";

const lanesMax = 12;
const legendMax = 8;
/** Of the columns; below them is how many rows the runs had. */
const height = 40;
const rowsTop = 43;
const rowsHeight = 15;

interface LanesProps {
  readonly status: StatusResponse;
  readonly seconds: readonly Second[];
  readonly models: readonly string[];
}

export function Lanes({ status, seconds, models }: LanesProps): JSX.Element {
  const { pipelines } = status;
  const ordered = worstFirst(pipelines, ({ state }) => isDown(state));
  const list = useOpened(pipelines.length <= lanesMax ? pipelines : ordered, lanesMax);
  const ready = pipelines.filter(({ state }) => state === "ready").length;
  return (
    <Panel
      title="Pipelines"
      class="wide"
      note={`${ready} of ${pipelines.length} ready · the last two minutes`}
    >
      <ul class="legend" aria-label="Colours of the models" hidden={pipelines.length === 0}>
        {models.slice(0, legendMax).map((model) => (
          <li key={model}>
            <span class={`swatch ${colourOf(model, models)}`} />
            {model}
          </li>
        ))}
        <li>
          <span class="swatch c8" />
          below: rows a run, padding fainter
        </li>
        {models.length > legendMax && <li>and {models.length - legendMax} more</li>}
      </ul>
      {pipelines.length === 0 && (
        <p class="empty">This server has no pipelines: its nodes do the work.</p>
      )}
      <ul class="lanes">
        {list.shown.map((pipeline) => (
          <Lane key={pipeline.pipelineId} {...{ pipeline, seconds, models, status }} />
        ))}
      </ul>
      <More {...list} of={pipelines.length} what="the pipelines" />
    </Panel>
  );
}

const tones: Readonly<Record<PipelineStatus["state"], Tone>> = {
  ready: "good",
  starting: "busy",
  suspect: "busy",
  "backing-off": "bad",
  stopping: "busy",
  stopped: "bad",
};

/** How its last process ended, behind "last"; a newer server may have more of them. */
const faultWords: Readonly<Record<string, string>> = {
  crash: "by a crash",
  hang: "as it hung",
  protocol: "as it spoke out of turn",
  memory: "for want of memory",
  outside: "killed from outside",
  "start-timeout": "as it did not come up",
  "load-timeout": "as a model did not load",
} satisfies Record<PipelineFault, string>;

interface LaneProps extends LanesProps {
  readonly pipeline: PipelineStatus;
}

function Lane({ pipeline, seconds, models, status }: LaneProps): JSX.Element {
  const { pipelineId, kind, state, reason, inStateMs, doing, items, memoryBytes } = pipeline;
  const { busy, runs, rowsPerRun, padding } = sumsOf(seconds, pipelineId);
  const facts = [
    `${shareText(busy)} busy`,
    ...(runs > 0 ? [`${countText(rowsPerRun)} rows a run`, `${shareText(padding)} padding`] : []),
    ...reasonsOf(status, pipelineId),
  ];
  return (
    <li class={`lane ${isDown(state) ? "down" : ""}`} data-pipeline={pipelineId}>
      <div class="lane-head">
        <strong>{pipelineId}</strong> <Pill tone={tones[state]} text={state} />
        <span class="note">
          {kind} · {bytesText(memoryBytes)}
          <Restarts pipeline={pipeline} />
        </span>
      </div>
      <LaneChart
        {...{ seconds, pipelineId, models }}
        label={`${pipelineId}, the last two minutes: ${facts.join(", ")}`}
      />
      <div class="lane-foot">
        {reason !== null && state !== "ready" ? (
          <span class="reason">
            {reason} · for {spanText(inStateMs)}
          </span>
        ) : (
          <span class="doing">
            {doing === null
              ? "idle"
              : `${doing.model} ${doing.stage}, ${doing.rows} × ${doing.width}, ${items.inFlight} in flight`}
          </span>
        )}
        <span class="note" title={facts.join(", ")}>
          {facts.join(" · ")}
        </span>
      </div>
    </li>
  );
}

function Restarts({ pipeline }: { readonly pipeline: PipelineStatus }): JSX.Element | null {
  const { restarts, lastEnd } = pipeline;
  if (restarts === 0) return null;
  const count = restarts === 1 ? "1 restart" : `${restarts} restarts`;
  // A server of before says only how many.
  const why = lastEnd == null ? "" : `, last ${faultWords[lastEnd.code] ?? lastEnd.code}`;
  return <span title={lastEnd?.reason}>{` · ${count}${why}`}</span>;
}

/** Why its last batches left, the most frequent first. */
function reasonsOf({ batches }: StatusResponse, pipelineId: string): string[] {
  const counts = new Map<string, number>();
  for (const { pipelineId: of, reason } of batches.recent)
    if (of === pipelineId) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts]
    .toSorted(([, left], [, right]) => right - left)
    .map(([reason, count]) => `${reason} ${count}`);
}

interface ChartProps {
  readonly seconds: readonly Second[];
  readonly pipelineId: string;
  readonly models: readonly string[];
  readonly label: string;
}

function LaneChart({ seconds, pipelineId, models, label }: ChartProps): JSX.Element {
  // A path for each colour, whatever the number of seconds.
  const paths = new Map<string, string>();
  const draw = (colour: string, shape: string): void =>
    void paths.set(colour, (paths.get(colour) ?? "") + shape);
  const rowsMost = Math.max(1, ...seconds.map((each) => rowsARun(each.pipelines.get(pipelineId))));
  for (const [at, { pipelines }] of seconds.entries()) {
    const second = pipelines.get(pipelineId);
    const x = secondsMax - seconds.length + at;
    if (second === undefined) continue;
    if (isDown(second.state)) draw("down", bar({ x, top: 0, high: height, wide: 1 }));
    if (second.hasRestarted) draw("restarted", bar({ x, top: 0, high: height, wide: 1 }));
    drawRows(draw, x, { second, rowsMost });
    let top = height;
    for (const [model, share] of second.busy) {
      const high = share * height;
      top = Math.max(0, top - high);
      draw(colourOf(model, models), bar({ x, top, high }));
    }
  }
  return (
    <svg
      class="lane-chart"
      viewBox={`0 0 ${secondsMax} ${rowsTop + rowsHeight}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {[...paths].map(([colour, d]) => (
        <path key={colour} class={colour} d={d} />
      ))}
    </svg>
  );
}

interface DrawnRows {
  readonly second: PipelineSecond;
  readonly rowsMost: number;
}

/** As high as there were rows in a run; what of it was padding is fainter. */
function drawRows(
  draw: (colour: string, shape: string) => void,
  x: number,
  { second, rowsMost }: DrawnRows,
): void {
  const high = (rowsARun(second) / rowsMost) * rowsHeight;
  if (high === 0) return;
  const own = second.paddedUnits === 0 ? high : high * (second.units / second.paddedUnits);
  const floor = rowsTop + rowsHeight;
  draw("rows", bar({ x, top: floor - own, high: own }));
  draw("padding", bar({ x, top: floor - high, high: high - own }));
}

function rowsARun(second: PipelineSecond | undefined): number {
  return second === undefined || second.runs === 0 ? 0 : second.rows / second.runs;
}

interface Bar {
  readonly x: number;
  readonly top: number;
  readonly high: number;
  readonly wide?: number;
}

function bar({ x, top, high, wide = 0.8 }: Bar): string {
  return `M${x} ${top.toFixed(1)}h${wide}v${high.toFixed(1)}h-${wide}z`;
}
