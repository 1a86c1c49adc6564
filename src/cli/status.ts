/** `millrace status`: pipelines, queues, batches and where the time goes, once or until Ctrl-C. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { Millrace, MillraceError, type StatusResponse } from "millrace-client";
import { exitCodes } from "./exit-codes.js";
import { print, printDrawn } from "./print.js";
import { errorText } from "./program.js";
import { addServerFlags, keyOf, runRemote, type ServerFlags } from "./remote.js";
import { withoutControls } from "./without-controls.js";

interface Flags extends ServerFlags {
  readonly watch?: boolean;
  readonly intervalMs: number;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ millrace status --watch
  $ millrace status --json | jq .models
  $ millrace status --url https://10.0.0.7:8400      its key stands in MILLRACE_KEY
`;

export function registerStatus(program: Command): void {
  const command = program
    .command("status")
    .summary("show pipelines, queues, waits and where the time goes")
    .description("Show pipelines, queues, batches, waits and where the time goes.");
  addServerFlags(command)
    .option("--watch", "again and again, until Ctrl-C")
    .option("--interval-ms <ms>", "pause between two looks with --watch", interval, 1000)
    .option("--json", "as JSON, one line a look")
    .addHelpText("after", examples)
    .action((flags: Flags) => runRemote((signal) => show(flags, signal)));
}

async function show(flags: Flags, signal: AbortSignal): Promise<number> {
  // It is answered from memory: a server that takes longer than this is in trouble, and that is the news.
  const silenceMsMax = 10_000;
  const retry = { attemptsMax: 1 };
  await using client = new Millrace(flags.url, { retry, silenceMsMax, ...keyOf(flags) });
  if (flags.watch !== true) {
    const status = await client.status({ signal }).catch(tellOfAdminPort);
    print(flags, status, view);
    const serves = status.state === "ready" || status.state === "degraded";
    return serves ? exitCodes.ok : exitCodes.unreachable;
  }
  // A terminal is redrawn from its top left corner; a file or a pipe gets one picture after the other.
  const redraw = process.stdout.isTTY && flags.json !== true ? "\u001b[H\u001b[J" : "";
  for (;;) {
    // A server that is away for a while is part of what is watched.
    const seen = await client.status({ signal }).catch((error: unknown) => {
      if (signal.aborted || !(error instanceof MillraceError)) throw error;
      return error;
    });
    printDrawn(redraw);
    if (seen instanceof MillraceError)
      print(flags, { error: seen.toWire() }, () => errorText(seen));
    else print(flags, seen, view);
    await sleep(flags.intervalMs, undefined, { signal });
  }
}

/** The route is missing only where operators have a port of their own. */
export function tellOfAdminPort(error: unknown): never {
  if (!(error instanceof MillraceError && error.code === "not_found")) throw error;
  const message =
    "this port has no /status: the server has --admin-port, give that address as --url";
  throw new MillraceError("not_found", message, { cause: error });
}

function view(status: StatusResponse): string {
  const { deployment, requests, items, waits } = status;
  return [
    withoutControls(
      `${deployment.name} ${deployment.version} · ${deployment.environment} · ${deployment.node} · ${status.state} · up ${seconds(status.uptimeMs)} · policy ${status.policy}`,
    ),
    `requests  active ${requests.active}, finished ${requests.finished}, refused ${requests.refused}, cancelled ${requests.cancelled}`,
    `items     done ${items.done}, failed ${items.failed}, retried ${items.retried}, cancelled ${items.cancelled}`,
    `waits     ${Object.entries(waits)
      .map(([name, wait]) => `${name} p50 ${ms(wait.p50Ms)}, p99 ${ms(wait.p99Ms)}`)
      .join("; ")}`,
    ...jobs(status).map(withoutControls),
    "",
    ...textTable(
      ["pipeline", "kind", "state", "in flight", "done", "memory", "now"],
      pipelines(status),
    ),
    ...textTable(
      ["model", "state", "on", "a copy", "a load", "loads", "evictions", "requests × items"],
      models(status),
    ),
    ...textTable(["queue", "class", "items", "requests", "tenants", "oldest"], queues(status)),
    ...textTable(
      ["batch", "pipeline", "left because", "requests", "items", "waited"],
      recent(status),
    ),
    `batches by reason: ${counts(status.batches.byReason)}`,
    ...textTable(["stage", "runs", "rows", "padding", "time", "a run"], stages(status)),
    "",
  ].join("\n");
}

/** A server of before says nothing of them. */
function jobs({ jobs: kept }: StatusResponse): string[] {
  if (kept === undefined || kept.state === "off") return [];
  const { state, reason, open, runningChunks, bytes, bytesMax } = kept;
  const gibibytes = (value: number): string => (value / 1024 ** 3).toFixed(1);
  const room = `${gibibytes(bytes)} of ${gibibytes(bytesMax)} GiB`;
  const why = reason === null ? state : `${state}: ${reason}`;
  return [`jobs      ${why}, open ${open ?? "unknown"}, chunks running ${runningChunks}, ${room}`];
}

function pipelines({ pipelines: all }: StatusResponse): string[][] {
  return all.map((one) => [
    one.pipelineId,
    one.kind,
    one.state,
    String(one.items.inFlight),
    String(one.items.done),
    `${Math.round(one.memoryBytes / 1024 ** 2)} MiB`,
    one.state === "ready"
      ? one.doing === null
        ? "idle"
        : `${one.doing.model} ${one.doing.stage} ${one.doing.rows}×${one.doing.width} for ${ms(one.doing.forMs)}`
      : (one.reason ?? "no reason given"),
  ]);
}

function models({ models: all }: StatusResponse): string[][] {
  return all.map((one) => [
    one.model,
    one.reason === null ? one.state : `${one.state}: ${one.reason}`,
    one.pipelines.length === 0 ? "–" : one.pipelines.join(" "),
    `${Math.round(one.bytes / 1024 ** 2)} MiB`,
    ms(one.loadMs),
    ...[one.loads, one.evictions].map(String),
    one.recommended === null
      ? "–"
      : `${one.recommended.requestsInFlight} × ${one.recommended.batchItems}`,
  ]);
}

function queues({ queues: all }: StatusResponse): string[][] {
  return all.map((one) => [
    one.model,
    one.class,
    ...[one.items, one.requests, one.tenants].map(String),
    ms(one.oldestWaitMs),
  ]);
}

function recent({ batches }: StatusResponse): string[][] {
  return batches.recent
    .slice(0, 8)
    .map((one) => [
      String(one.batchId),
      one.pipelineId,
      one.reason,
      ...[one.requests, one.items].map(String),
      ms(one.waitedMs),
    ]);
}

function stages({ stages: all }: StatusResponse): string[][] {
  return all.map((one) => [
    `${one.model} ${one.stage}`,
    ...[one.runs, one.rows].map(String),
    one.paddedUnits === 0 ? "–" : `${Math.round(100 * (1 - one.units / one.paddedUnits))} %`,
    seconds(one.ms),
    one.runs === 0 ? "–" : ms(one.ms / one.runs),
  ]);
}

/** Of what a server or a file told: each row is one line, whatever is in it. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const all = [head, ...rows.map((row) => row.map(withoutControls))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return [
    ...all.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    ),
    "",
  ];
}

function counts(values: Readonly<Record<string, number>>): string {
  const parts = Object.entries(values).map(([name, value]) => `${name} ${value}`);
  return parts.length === 0 ? "none yet" : parts.join(", ");
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function seconds(valueMs: number): string {
  return `${(valueMs / 1000).toFixed(1)} s`;
}

function interval(value: string): number {
  if (/^\d{2,8}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("Not a number of milliseconds, 10 or more.");
}
