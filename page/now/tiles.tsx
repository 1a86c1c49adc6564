/** What is asked first of a server, at a glance: a figure each, and its last two minutes. */
import { type StatusResponse, workClasses } from "millrace-client/wire";
import type { JSX } from "preact";
import { countOf, countText, msText } from "../format.js";
import { lately, type Second } from "../live/history.js";
import { Spark } from "../parts/chart.js";

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

export function Tiles({
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
