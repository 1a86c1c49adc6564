/** READ FIRST of this folder. What every report begins with: the machine, as it was found before anything ran on it. */
import { describeMachine, type Machine, readMachine } from "./machine.js";
import { Report } from "./report.js";

/** `name`: of the benchmark, where its first line says it. */
export function beginReport(name?: string): { readonly report: Report; readonly machine: Machine } {
  const report = new Report((line) => console.log(line));
  const machine = readMachine();
  const described = describeMachine(machine);
  report.say(name === undefined ? described : `${name}: ${described}`);
  return { report, machine };
}
