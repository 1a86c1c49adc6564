import type { DeploymentIdentity } from "millrace-client/wire";

export const identity: DeploymentIdentity = {
  name: "echo",
  environment: "test",
  version: "0.0.1",
  configHash: "00c0ffee",
  node: "here",
};
