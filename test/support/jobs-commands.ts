/** The commands of jobs by themselves: they start in half the time, since nothing of a server is loaded. */
import { registerJobs } from "#src/cli/jobs.js";
import { newProgram, run } from "#src/cli/program.js";
import { registerTranslate } from "#src/cli/translate.js";

const program = newProgram();
registerTranslate(program);
registerJobs(program);
await run(program);
