/** What fronts may see of the server beside submit: read-only, from memory, at once. */
import type {
  DeploymentIdentity,
  ModelInfo,
  ReadyResponse,
  StatusResponse,
} from "millrace-client/wire";

export interface ServerViews {
  readonly identity: DeploymentIdentity;
  status(): StatusResponse;
  ready(): ReadyResponse;
  /** The server is stopping and takes no new work; `ready` says so too, and costs a look at every pipeline. */
  readonly isDraining: boolean;
  models(): readonly ModelInfo[];
}
