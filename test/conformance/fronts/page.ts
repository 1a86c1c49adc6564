/** docs/fronts.md: how each front maps each case, made of the drivers beside this file. */
import { readdir } from "node:fs/promises";
import type { Cell, Cells, FrontPage } from "./driver.js";

/** The rows, as users read them. */
const titles: Readonly<Record<keyof Cells, string>> = {
  numbers: "numbers",
  order: "order",
  badInput: "one bad input among good ones",
  tooLong: "an input that is too long",
  unknownModel: "a model that is not there",
  malformed: "what is no request",
  manyCallers: "many callers",
  company: "inputs of several callers in one batch",
  killed: "a pipeline is killed",
  callerGone: "the caller leaves",
  cancel: "the caller cancels, and stays",
  queueFull: "the queue is full",
  deadline: "a deadline passes",
  notReady: "no pipeline is up",
  draining: "the server drains",
  unauthenticated: "no key, where one is asked for",
};
const names = Object.keys(titles) as (keyof Cells)[];

export async function frontsPage(): Promise<string> {
  const fronts = await readDrivers();
  const parts = [
    "# How each front says it",
    "<!-- Written by scripts/docs.js from the drivers in test/conformance/fronts; change it there. -->",
    "Every front is held to one list of cases, by a client of its own protocol, before real models in real processes\n(`test/conformance/fronts`). This page is how each protocol says each of them. A – is what the protocol cannot say, and why.",
    ...fronts.map((front) =>
      [
        `## ${front.title}`,
        `Spoken in the tests by ${front.client}.`,
        ["| case | how |", "| --- | --- |", ...names.map((name) => rowOf(name, front))].join("\n"),
      ].join("\n\n"),
    ),
  ];
  return `${parts.join("\n\n")}\n`;
}

function rowOf(name: keyof Cells, { cells }: FrontPage): string {
  const cell: Cell = cells[name];
  const text = "cannot" in cell ? `– ${cell.cannot}` : cell.how;
  return `| ${titles[name]} | ${text.replaceAll("|", "\\|")} |`;
}

/** By their titles: whatever the files export that is a driver. */
async function readDrivers(): Promise<readonly FrontPage[]> {
  const files = (await readdir(new URL(".", import.meta.url))).filter((name) =>
    name.endsWith(".driver.js"),
  );
  const modules = await Promise.all(
    files.map(async (name) => (await import(`./${name}`)) as Readonly<Record<string, unknown>>),
  );
  const found = modules.flatMap((exported) => Object.values(exported).filter(isDriver));
  return found.toSorted((a, b) => a.title.localeCompare(b.title, "en"));
}

function isDriver(value: unknown): value is FrontPage {
  return typeof value === "object" && value !== null && "title" in value && "cells" in value;
}
