/** Preloaded: nothing else runs on this machine, whatever does. A trial waits for that. */
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";

os.loadavg = () => [0, 0, 0];
syncBuiltinESMExports();
