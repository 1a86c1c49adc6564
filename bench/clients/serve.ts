/** A Millrace server in a process of its own. */
import { createServer as createProbe } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { CreateServerOptions } from "#src/index.js";
import { machineLoad } from "#src/trial/machine-load.js";
import { trialLoadMax } from "#src/trial/trial.js";
import { type BenchChild, startChild } from "../harness/child.js";

const quietWaitMsMax = 5 * 60_000;

export interface ServedMillrace extends AsyncDisposable {
  readonly url: string;
}

export async function serve(options: CreateServerOptions): Promise<ServedMillrace> {
  if (options.trial === "auto") await quietMachine();
  const child: BenchChild = startChild(new URL("serve-child.js", import.meta.url), [
    JSON.stringify({ port: 0, logLevel: "silent", ...options }),
  ]);
  try {
    return { url: await child.line(), [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * The trial leaves out a busy machine, as it finds it, and the default layout would be measured: a third slower, on two cores. Making the
 * models has just kept the machine busy.
 */
async function quietMachine(): Promise<void> {
  const endAtMs = performance.now() + quietWaitMsMax;
  while ((await machineLoad()) > trialLoadMax) {
    if (performance.now() > endAtMs) throw new Error("the machine is busy with something else");
    await delay(1_000);
  }
}

/** Ports that nobody has now: for listeners whose own choice nobody would learn. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const probes = await Promise.all(
    Array.from({ length: count }, async () => {
      const probe = createProbe();
      await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
      return probe;
    }),
  );
  const ports = probes.map((probe) => {
    const address = probe.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  return ports;
}
