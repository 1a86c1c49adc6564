/** What is wrong between options of durable jobs. */
import { callbackHostsOf } from "./callback-hosts.js";
import type { PlaceOf } from "./definition.js";
import type { Options } from "./options.js";

export function jobsContradictions(options: Options, place: PlaceOf): string[] {
  const { jobCallbackHosts, jobCallbackSecret } = options;
  const problems: string[] = [];
  if (jobCallbackHosts !== null && jobCallbackSecret === null) {
    problems.push(
      `${place("jobCallbackHosts")} needs ${place("jobCallbackSecret")}: who is called must be able to tell who calls`,
    );
  }
  if (callbackHostsOf(jobCallbackHosts) === null) {
    problems.push(
      `${place("jobCallbackHosts")}: ${JSON.stringify(jobCallbackHosts)} is no list of hosts such as hooks.example,10.0.0.7:8080, without scheme and path and with commas between`,
    );
  }
  return problems;
}
