/** What a process and its threads have taken of the processors, without its children. */
import { readFileSync } from "node:fs";

/** Of Linux's clock ticks, which are a hundredth of a second on every machine that Node runs on. */
const msOfTick = 10;

/** User and system time; null where the machine does not tell it (other than Linux). */
export function processTimeMs(pid: number): number | null {
  if (process.platform !== "linux") return null;
  // The name of the command stands in brackets, and may hold spaces and brackets.
  const afterName = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1) ?? "";
  const [user = "", system = ""] = afterName.split(" ").slice(11, 13);
  return msOfTick * (Number(user) + Number(system));
}
