/** `millrace serve` with everything of its own but what its workers compute: they take the recorded time instead. */
import { fileURLToPath } from "node:url";
import { openBackend } from "#src/backend/local-backend.js";
import { newProgram, run } from "#src/cli/program.js";
import { registerServe } from "#src/cli/serve.js";

const workerEntry = fileURLToPath(new URL("./worker.js", import.meta.url));
const program = newProgram();
registerServe(program, (parts) => openBackend({ ...parts, workerEntry }));
await run(program);
