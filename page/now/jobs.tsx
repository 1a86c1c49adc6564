import type { JobStatus, JobStoreStatus, JobsReply } from "millrace-client/wire";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { bytesText, countText, roughText } from "../format.js";
import { askJson } from "../live/ask.js";
import { Meter } from "../parts/meter.js";
import { Panel } from "../parts/panel.js";
import { Pill, type Tone } from "../parts/pill.js";
import { Table } from "../parts/table.js";
import { messageOf } from "../thrown.js";

const everyMs = 3_000;
const jobsMax = 20;

/** Asked for beside the stream: a job is its key's, and not everybody's who looks on. */
export function Jobs({ store }: { readonly store: JobStoreStatus | undefined }): JSX.Element {
  const [jobs, setJobs] = useState<JobsReply | string | null>(null);
  const isOn = store !== undefined && store.state !== "off";
  useEffect(() => {
    if (!isOn) return;
    const gone = new AbortController();
    const look = async (): Promise<void> => {
      const { signal } = gone;
      const asked = askJson<JobsReply>(`v1/jobs?limit=${jobsMax}`, { signal }).then(
        (reply) => reply,
        messageOf,
      );
      const found = await asked;
      if (!signal.aborted) setJobs(found);
    };
    void look();
    const timer = setInterval(() => {
      if (!document.hidden) void look();
    }, everyMs);
    return () => {
      clearInterval(timer);
      gone.abort();
    };
  }, [isOn]);
  if (store === undefined || !isOn)
    return (
      <Panel title="Jobs">
        <p class="empty">This server keeps no durable jobs (--data DIR, or --nats).</p>
      </Panel>
    );
  return (
    <Panel
      title="Jobs"
      note={`${store.open === null ? "?" : countText(store.open)} open · ${store.runningChunks} chunks run`}
    >
      {store.reason !== null && <p class="reason">{store.reason}</p>}
      <Meter
        label="Kept"
        value={store.bytes}
        max={store.bytesMax}
        text={`${bytesText(store.bytes)} of ${bytesText(store.bytesMax)}`}
      />
      {jobs === null ? (
        <p class="empty">They are asked for.</p>
      ) : typeof jobs === "string" ? (
        <p class="empty">They are not shown here: {jobs}</p>
      ) : (
        <>
          <JobTable jobs={jobs.jobs} />
          {jobs.next !== null && (
            <p class="more">
              The newest {jobsMax}; older ones: <code>millrace jobs list</code>
            </p>
          )}
        </>
      )}
    </Panel>
  );
}

/** Those that are not here go on. */
const tones: Partial<Readonly<Record<JobStatus["state"], Tone>>> = {
  completed: "good",
  failed: "bad",
  cancelled: "quiet",
  expired: "quiet",
};

function JobTable({ jobs }: { readonly jobs: readonly JobStatus[] }): JSX.Element {
  return (
    <Table
      caption="Jobs, newest first"
      rows={jobs}
      rowKey={({ id }) => id}
      rowsMax={10}
      empty="There is no job."
      columns={[
        {
          title: "Job",
          cell: ({ id, task }) => (
            <span title={id}>
              {task} {id.slice(0, 8)}
            </span>
          ),
        },
        {
          title: "State",
          cell: ({ state }) => (
            <Pill tone={tones[state] ?? "busy"} text={state.replace("_", " ")} />
          ),
        },
        {
          title: "Lines",
          isNumber: true,
          cell: ({ succeeded, failed, lines }) =>
            `${countText(succeeded + failed)} / ${countText(lines)}`,
        },
        {
          title: "Each s",
          isNumber: true,
          cell: ({ linesPerSecond }) => (linesPerSecond === null ? "–" : countText(linesPerSecond)),
        },
        { title: "Ends", isNumber: true, cell: endOf },
      ]}
    />
  );
}

function endOf({ expectedEndAt, endedAt }: JobStatus): string {
  if (endedAt !== null) return `${roughText(Date.now() - Date.parse(endedAt))} ago`;
  return expectedEndAt === null ? "–" : `in ${roughText(Date.parse(expectedEndAt) - Date.now())}`;
}
