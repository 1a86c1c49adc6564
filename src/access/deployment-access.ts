/**
 * Keys of durable jobs on the servers of one deployment: whoever let a job's caller in has checked its key, and others run its lines. A
 * server that knows the key counts and limits it as always; one that has never had it believes what stands in the job; one that has
 * seen it go ends the job (jobs/job-keeper.ts).
 */
import type { Caller } from "../work/caller.js";
import type { Access } from "./access.js";

type UsedAccess = Pick<Access, "renewed" | "take" | "usageOf">;

export function amongServers(access: Access): UsedAccess {
  const isBelieved = (caller: Caller): boolean =>
    caller.jobTenant !== undefined && access.standing(caller) === "stranger";
  return {
    renewed: (caller) => (isBelieved(caller) ? caller : access.renewed(caller)),
    take: (caller, amount) => (isBelieved(caller) ? () => {} : access.take(caller, amount)),
    usageOf: (caller) => (isBelieved(caller) ? null : access.usageOf(caller)),
  };
}
