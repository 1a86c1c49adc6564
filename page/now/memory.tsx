/** What is held, against its limits. */
import type { StatusResponse } from "millrace-client/wire";
import type { JSX } from "preact";
import { bytesText, countText, msText } from "../format.js";
import { Meter } from "../parts/meter.js";
import { Panel } from "../parts/panel.js";

export function Memory({ status }: { readonly status: StatusResponse }): JSX.Element {
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
