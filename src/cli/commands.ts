/** Every command, in the groups in which the help shows them. */
import type { Command } from "commander";
import type { OpenBackend } from "../backend/backend.js";
import { registerClassify } from "./classify.js";
import { registerCompletion } from "./completion.js";
import { registerConfig } from "./config.js";
import { registerConvert } from "./convert.js";
import { registerDoctor } from "./doctor.js";
import { registerEmbed } from "./embed.js";
import { registerInit } from "./init.js";
import { registerInspect } from "./inspect-command.js";
import { registerJobs } from "./jobs.js";
import { registerKeys } from "./keys.js";
import { registerModels } from "./models.js";
import { registerNodes } from "./nodes.js";
import { registerOcr } from "./ocr.js";
import { registerPlan } from "./plan.js";
import { registerProfile } from "./profile.js";
import { registerRecord } from "./record.js";
import { registerRerank } from "./rerank.js";
import { registerServe } from "./serve.js";
import { registerStatus } from "./status.js";
import { registerTranslate } from "./translate.js";

/** A command loads what it works with when it is called: those that ask a server need little, and are called often. */
const openBackend: OpenBackend = async (parts) => {
  const local = await import("../backend/local-backend.js");
  return await local.openBackend(parts);
};

export function registerCommands(program: Command): void {
  program.commandsGroup("A server:");
  registerServe(program, openBackend);
  registerStatus(program);
  registerDoctor(program);
  registerProfile(program);
  registerRecord(program);
  registerPlan(program);
  registerNodes(program);
  registerInit(program);
  registerConfig(program);
  registerKeys(program);
  program.commandsGroup("Work, by a server or without one:");
  registerTranslate(program);
  registerEmbed(program);
  registerClassify(program);
  registerRerank(program);
  registerOcr(program);
  registerJobs(program);
  program.commandsGroup("Model folders:");
  registerConvert(program);
  registerInspect(program);
  registerModels(program);
  program.commandsGroup("Help:");
  registerCompletion(program);
  program.helpCommand("help [command]", "show the flags and the examples of a command");
}
