import type { JobStatus, JobStoreStatus, JobsReply } from "millrace-client/wire";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { bytesText, countText, spanText } from "../format.js";
import { askJson } from "../live/ask.js";
import { Meter, Panel, Pill, Table } from "../parts/panel.js";

const everyMs = 3_000;
const jobsMax = 20;

/** Asked for beside the stream: a job is its key's, and not everybody's who looks on. */
export function Jobs({ store }: { readonly store: JobStoreStatus | undefined }): JSX.Element {
  const [jobs, setJobs] = useState<readonly JobStatus[] | string | null>(null);
  const isOn = store !== undefined && store.state !== "off";
  useEffect(() => {
    if (!isOn) return;
    const gone = new AbortController();
    const look = async (): Promise<void> => {
      const { signal } = gone;
      const asked = askJson<JobsReply>(`v1/jobs?limit=${jobsMax}`, { signal }).then(
        (reply) => reply.jobs,
        (error: unknown) => String(error),
      );
      const found = await asked;
      if (!signal.aborted) setJobs(found);
    };
    void look();
    const timer = setInterval(() => void look(), everyMs);
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
    <Panel title="Jobs" note={`${store.open ?? "?"} open · ${store.runningChunks} chunks run`}>
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
        <JobTable jobs={jobs} />
      )}
    </Panel>
  );
}

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
              {task} {id.slice(0, 10)}
            </span>
          ),
        },
        {
          title: "State",
          cell: ({ state }) => (
            <Pill
              tone={state === "completed" ? "good" : state === "failed" ? "bad" : "busy"}
              text={state}
            />
          ),
        },
        {
          title: "Lines",
          isNumber: true,
          cell: ({ succeeded, failed, lines }) =>
            `${countText(succeeded + failed)} / ${countText(lines)}`,
        },
        {
          title: "A second",
          isNumber: true,
          cell: ({ linesPerSecond }) => (linesPerSecond === null ? "–" : countText(linesPerSecond)),
        },
        { title: "Ends", isNumber: true, cell: endOf },
      ]}
    />
  );
}

function endOf({ expectedEndAt, endedAt }: JobStatus): string {
  if (endedAt !== null) return `${spanText(Math.max(0, Date.now() - Date.parse(endedAt)))} ago`;
  return expectedEndAt === null
    ? "–"
    : `in ${spanText(Math.max(0, Date.parse(expectedEndAt) - Date.now()))}`;
}
