#!/usr/bin/env node
/** READ FIRST: the `millrace` command; one file a command, and each registers itself here. */
import { openBackend } from "../backend/local-backend.js";
import { registerClassify } from "./classify.js";
import { registerConfig } from "./config.js";
import { registerConvert } from "./convert.js";
import { registerEmbed } from "./embed.js";
import { registerInspect } from "./inspect.js";
import { registerOcr } from "./ocr.js";
import { newProgram, run } from "./program.js";
import { registerRerank } from "./rerank.js";
import { registerServe } from "./serve.js";
import { registerStatus } from "./status.js";
import { registerTranslate } from "./translate.js";

const program = newProgram();
registerServe(program, openBackend);
registerTranslate(program);
registerEmbed(program);
registerClassify(program);
registerRerank(program);
registerOcr(program);
registerConvert(program);
registerInspect(program);
registerStatus(program);
registerConfig(program);
await run(program);
