/** The commands for many inputs by themselves: they start in half the time, since nothing of a server is loaded. */
import { registerClassify } from "#src/cli/classify.js";
import { registerEmbed } from "#src/cli/embed.js";
import { registerOcr } from "#src/cli/ocr.js";
import { newProgram, run } from "#src/cli/program.js";
import { registerRerank } from "#src/cli/rerank.js";

const program = newProgram();
registerEmbed(program);
registerClassify(program);
registerRerank(program);
registerOcr(program);
await run(program);
