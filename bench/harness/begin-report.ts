/** What every report begins with: the machine. */
import { describeMachine } from "../machine.js";
import { Report } from "./report.js";

export function beginReport(): { readonly report: Report; readonly machine: string } {
  const report = new Report((line) => console.log(line));
  const machine = describeMachine();
  report.say(machine);
  return { report, machine };
}
