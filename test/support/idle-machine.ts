/** Preloaded: nothing else runs on this machine, whatever does. A trial waits for that. */
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";

const cpus = os.cpus();
let looks = 0;

os.cpus = () => {
  looks += 1;
  return cpus.map((cpu) => ({ ...cpu, times: { ...cpu.times, idle: cpu.times.idle + looks } }));
};
syncBuiltinESMExports();
