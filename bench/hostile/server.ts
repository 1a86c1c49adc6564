/** `millrace serve` with a heap of so many MiB, and what its process takes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { StatusResponse } from "millrace-client/wire";
import { memoryBytesOf } from "../../test/support/processes.js";

export interface HostileServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Resident memory of the front, the most since the start, in MiB; null where it cannot be read. */
  peakMiB(): number | null;
  /** Null while it runs. */
  exit(): string | null;
  status(): Promise<StatusResponse>;
}

const root = new URL("../../../", import.meta.url);

export async function startServer(heapMiB: number): Promise<HostileServer> {
  const main = fileURLToPath(import.meta.resolve("#src/cli/main.js"));
  const models = fileURLToPath(new URL("models", root));
  const flags = ["--models", models, "--port", "0", "--log", "json", "--log-level", "warn"];
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${heapMiB}`,
      main,
      "serve",
      "--trial",
      "off",
      ...flags,
      "--log-level",
      "info",
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let exit: string | null = null;
  child.once("exit", (code, signal) => {
    exit = signal ?? String(code);
  });
  const closed = once(child, "close");
  for await (const line of createInterface({ input: child.stdout })) {
    const record = JSON.parse(line) as { readonly msg?: string; readonly http?: string };
    if (record.msg !== "ready" || record.http === undefined) continue;
    child.stdout.resume();
    const url = record.http;
    const pid = child.pid ?? 0;
    return {
      url,
      pid,
      peakMiB: () => peakOf(pid),
      exit: () => exit,
      status: async () => (await (await fetch(`${url}/status`)).json()) as StatusResponse,
      async [Symbol.asyncDispose]() {
        child.kill("SIGTERM");
        await closed;
      },
    };
  }
  throw new Error("the server ended before it was ready");
}

function peakOf(pid: number): number | null {
  try {
    return Math.round(memoryBytesOf(pid, "VmHWM") / 1024 ** 2);
  } catch {
    return null;
  }
}
