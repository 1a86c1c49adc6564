/** The version of what lies in the tables. An older one is brought forward step by step, each in one transaction; a newer one is refused. */
import { MillraceError } from "millrace-client";
import type { Tables } from "./tables.js";

const formatNow = 1;

/** From a version to the next one. Version 1 is the first. */
const steps: ReadonlyMap<number, (tables: Tables) => void> = new Map();

/** @throws MillraceError `data_invalid` */
export function bringForward(tables: Tables): void {
  if (tables.get("marks", "format") === null) {
    if (!tables.areEmpty) throw invalid("it does not say which format it has");
    tables.transaction(() => tables.put("marks", "format", { version: formatNow }));
  }
  for (let version = versionOf(tables); version !== formatNow; version = versionOf(tables)) {
    const step = steps.get(version);
    if (step === undefined) {
      throw invalid(`its format is ${version}, and this Millrace knows ${formatNow}`);
    }
    tables.transaction(() => {
      step(tables);
      tables.put("marks", "format", { version: version + 1 });
    });
  }
}

function versionOf(tables: Tables): number {
  const head = tables.get("marks", "format")?.head as { readonly version?: unknown } | undefined;
  if (typeof head?.version !== "number") throw invalid("it does not say which format it has");
  return head.version;
}

function invalid(message: string): MillraceError {
  return new MillraceError("data_invalid", message);
}
