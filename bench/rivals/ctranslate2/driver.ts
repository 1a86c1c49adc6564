/**
 * CTranslate2 as a resident translator: the driver of ../shared/rivals/ctranslate2, which reads `MODE BEAMS COUNT [FILE]` and answers
 * with seconds, sentences and tokens.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LineProcess } from "../line-process.js";
import type { Translator, Turn, TurnResult } from "../turn.js";

export interface DriverSpec {
  readonly driver: string;
  readonly modelDir: string;
  /** As CTranslate2 names it: `int8` or `float32`. */
  readonly computeType: string;
  /** Replicas, of one thread each. */
  readonly inter: number;
  readonly piecesFile: string;
  readonly batch: number;
  /** For what it wrote. */
  readonly dir: string;
}

/** Why there is no rival to measure; null where there is one. */
export function whyNoDriver(driver: string | undefined): string | null {
  const how =
    "../shared/rivals/ctranslate2/build.sh SOURCE OUT builds it from CTranslate2's source in some minutes (its README says what with); then --driver OUT/driver";
  if (driver === undefined) return `no --driver. ${how}`;
  return existsSync(driver) ? null : `there is no ${driver}. ${how}`;
}

/** Where the processor has VNNI: with AMX, oneDNN's int8 is half as fast. What the environment says already stands. */
export function driverSettings(): Readonly<Record<string, string>> {
  const hasVnni =
    process.platform === "linux" && readFileSync("/proc/cpuinfo", "latin1").includes("avx512_vnni");
  if (!hasVnni) return {};
  const best = { ONEDNN_MAX_CPU_ISA: "AVX512_CORE_VNNI", CT2_FORCE_CPU_ISA: "AVX512" };
  return Object.fromEntries(
    Object.entries(best).map(([name, value]) => [name, process.env[name] ?? value]),
  );
}

/** Its outputs are pieces with spaces between, without end tokens. */
export async function startDriver(spec: DriverSpec): Promise<Translator> {
  const { driver, modelDir, computeType, inter, piecesFile, batch, dir } = spec;
  const [child, ready] = await LineProcess.start({
    file: driver,
    args: [modelDir, computeType, String(inter), "1", piecesFile],
    env: { ...process.env, ...driverSettings() },
  });
  if (!/^ready \d+$/.test(ready)) throw new Error(`the driver said ${JSON.stringify(ready)}`);
  const ask = async (turn: Turn): Promise<TurnResult> => {
    const file = join(dir, "ctranslate2-outputs.txt");
    const mode = turn.mode === "one" ? "one" : `b${batch}`;
    const result = readAnswer(await child.ask(`${mode} ${turn.beams} ${turn.count} ${file}`));
    const lines = readFileSync(file, "utf8").split("\n").slice(0, result.sentences);
    return { ...result, outputs: lines.map((line) => line.trim()), steps: null };
  };
  return {
    pid: child.pid,
    translate: ask,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** Throws where it is no answer, as when the driver says what went wrong. */
export function readAnswer(line: string): Pick<TurnResult, "seconds" | "sentences" | "tokens"> {
  const [seconds = Number.NaN, sentences = Number.NaN, tokens = Number.NaN] = line
    .split(" ")
    .map(Number);
  if (!(seconds > 0) || !(sentences > 0) || !(tokens >= 0)) {
    throw new Error(`the driver answered ${JSON.stringify(line)}`);
  }
  return { seconds, sentences, tokens };
}
