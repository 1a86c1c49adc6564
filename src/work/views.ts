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
  models(): readonly ModelInfo[];
}
