/** `millrace serve` with everything of its own but what runs in the workers: there the fake runtime is. */
import { openBackend } from "#src/backend/local-backend.js";
import { newProgram, run } from "#src/cli/program.js";
import { registerServe } from "#src/cli/serve.js";
import { fakeEntry } from "./pool.js";

const program = newProgram();
registerServe(program, (parts) => openBackend({ ...parts, workerEntry: fakeEntry }));
await run(program);
