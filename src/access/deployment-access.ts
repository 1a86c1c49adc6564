/**
 * Keys of durable jobs on the servers of one deployment: whoever let a job's caller in has checked its key and counted its lines, and
 * others run them. A server that knows the key looks again what it may; one that has never had it believes what stands in the job;
 * one that has seen it go ends the job (jobs/job-keeper.ts).
 */
import type { Caller } from "../work/caller.js";
import type { Access } from "./access.js";

type UsedAccess = Pick<Access, "renewed" | "take" | "usageOf">;

export function amongServers(access: Access): UsedAccess {
  const isBelieved = (caller: Caller): boolean =>
    caller.jobTenant !== undefined && access.standing(caller) === "stranger";
  return {
    renewed: (caller) => (isBelieved(caller) ? caller : access.renewed(caller)),
    take: (caller, amount) => access.take(caller, amount),
    usageOf: (caller) => access.usageOf(caller),
  };
}
