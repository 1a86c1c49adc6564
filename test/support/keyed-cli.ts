/** The commands that know of keys, as a process that starts in a moment: what serves and converts is not loaded. */
import { registerKeys } from "#src/cli/keys.js";
import { newProgram, run } from "#src/cli/program.js";
import { registerStatus } from "#src/cli/status.js";
import { registerTranslate } from "#src/cli/translate.js";

const program = newProgram();
registerKeys(program);
registerStatus(program);
registerTranslate(program);
await run(program);
