/** The log: pino, as JSON for machines or as short lines for people. */
import { type DestinationStream, type Logger, pino } from "pino";
import { type LogDestination, LogOutput } from "./log-output.js";
import type { Options } from "./options/options.js";

export type Log = Logger;

export interface LogOptions extends Pick<Options, "log" | "logLevel"> {
  readonly destination: LogDestination;
}

export function createLog({ log: form, logLevel, destination }: LogOptions): Log {
  const stream = form === "json" ? destination : prettyStream(destination);
  const log = pino({ level: logLevel }, stream);
  if (destination instanceof LogOutput) {
    // Stands where the gap is.
    destination.onResumed = (lines) => {
      log.warn({ lines }, "log lines were dropped: their reader was too slow");
    };
  }
  return log;
}

const levels: Readonly<Record<number, readonly [name: string, colour: string]>> = {
  10: ["trace", "\u001b[90m"],
  20: ["debug", "\u001b[90m"],
  30: ["info ", "\u001b[32m"],
  40: ["warn ", "\u001b[33m"],
  50: ["error", "\u001b[31m"],
  60: ["fatal", "\u001b[31m"],
};
const plain = "\u001b[0m";
const grey = "\u001b[90m";

/** pino hands over one JSON line a record; we print `12:34:56.789 info  message  key=value`. */
function prettyStream(destination: LogDestination): DestinationStream {
  const colours = destination.isTTY === true && process.env["NO_COLOR"] === undefined;
  return {
    write(line: string): void {
      destination.write(prettyLine(JSON.parse(line) as LogRecord, colours));
    },
  };
}

interface LogRecord {
  readonly level: number;
  readonly time: number;
  readonly msg?: string;
  readonly err?: { readonly message: string; readonly stack: string };
  readonly [field: string]: unknown;
}

function prettyLine(record: LogRecord, colours: boolean): string {
  const { level, time, msg, err, pid: _pid, hostname: _host, ...fields } = record;
  const [name, colour] = levels[level] ?? [String(level), ""];
  const paint = (text: string, code: string): string => (colours ? `${code}${text}${plain}` : text);
  const clock = new Date(time).toISOString().slice(11, 23);
  const extra = Object.entries(fields).map(
    ([key, value]) => `  ${paint(`${key}=`, grey)}${show(value)}`,
  );
  const stack = err === undefined ? "" : `\n  ${err.stack.replaceAll("\n", "\n  ")}`;
  return `${paint(clock, grey)} ${paint(name, colour)} ${msg ?? ""}${extra.join("")}${stack}\n`;
}

function show(value: unknown): string {
  // Values may come from callers: JSON keeps their line breaks and control characters from faking a line.
  return typeof value === "string" && /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}
