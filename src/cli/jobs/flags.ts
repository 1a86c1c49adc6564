/** READ FIRST of this folder. What the commands of jobs share: their flags, and the client that they make. */
import type { Command } from "commander";
import { Millrace } from "millrace-client";
import { addServerFlags, keyOf, type ServerFlags } from "../remote.js";

export interface JobFlags extends ServerFlags {
  readonly json?: boolean;
}

export function addJobFlags(command: Command, json: string): Command {
  return addServerFlags(command).option("--json", json);
}

export function jobsClient(flags: ServerFlags): Millrace {
  return new Millrace(flags.url, { sharing: false, ...keyOf(flags) });
}
