/** What `/status` says: the backend's view, and the durable jobs'. */
import type { JobStoreStatus, StatusResponse } from "millrace-client/wire";
import type { ServerViews } from "../work/views.js";
import type { Jobs } from "./jobs.js";

type JobsView = Pick<Jobs, "status"> | null;

export function wholeStatus(views: Pick<ServerViews, "status">, jobs: JobsView): StatusResponse {
  return { ...views.status(), jobs: jobStoreStatus(jobs) };
}

/** Of a server that keeps none as well. */
export function jobStoreStatus(jobs: JobsView): JobStoreStatus {
  const nothing = { open: 0, runningChunks: 0, bytes: 0, bytesMax: 0, commits: 0, commitMs: 0 };
  return jobs?.status() ?? { state: "off", reason: null, ...nothing };
}
