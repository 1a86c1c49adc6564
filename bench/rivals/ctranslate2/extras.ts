/** What is compared once: memory of two pipelines and two replicas, and how many outputs are the reference's. */
import { type Report, under } from "../../harness/report.js";
import type { Fleet } from "../comparison/fleet.js";
import { proportionalMiB } from "../memory.js";
import type { ReferenceRow } from "../sentences.js";

export interface ExtraRun {
  readonly report: Report;
  readonly fleet: Fleet;
  readonly title: string;
  readonly count: number;
}

/** After work: whatever a process maps it has also touched. */
export async function runMemory({ report, fleet, title, count }: ExtraRun): Promise<void> {
  const turn = { mode: "all", beams: 1, count } as const;
  const server = await fleet.server("pair");
  const driver = await fleet.rival({ replicas: 2, threads: 1 });
  await server.translate(turn);
  await driver.translate(turn);
  const { pipelines } = server.ready;
  const ours = proportionalMiB(pipelines);
  const whole = proportionalMiB([server.pid, ...pipelines]);
  const theirs = proportionalMiB([driver.pid]);
  if (ours === null || whole === null || theirs === null) {
    return report.say("memory: left out, only Linux tells proportional set sizes");
  }
  report.add(`${title}, memory of two pipelines`, [ours], { unit: "MiB" });
  report.add(`${title}, memory of the whole server`, [whole], { unit: "MiB" });
  report.add(`${title}, memory of CTranslate2 with inter 2`, [theirs], { unit: "MiB" });
  report.add(`${title}, memory: two pipelines / inter 2`, [ours / theirs], { target: under(1.5) });
}

/** `fleet` has the reference's sentences, in its order. `endTokenId` ends each of them; the driver leaves it out. */
export async function runOutputs(
  run: ExtraRun,
  from: {
    readonly reference: readonly ReferenceRow[];
    readonly pieceOf: (id: number) => string;
    readonly endTokenId: number;
  },
): Promise<void> {
  const { report, fleet, title } = run;
  const { reference } = from;
  const engine = await fleet.engine();
  const driver = await fleet.rival({ replicas: 1, threads: 1 });
  for (const [name, beams] of [
    ["greedy", 1],
    ["beam4", 4],
  ] as const) {
    const turn = { mode: "all", beams, count: reference.length } as const;
    const { ids = [] } = await engine.translate({ ...turn, wantsIds: true });
    const { outputs: pieces } = await driver.translate(turn);
    const ours = reference.filter((row, at) => String(row[name].ids) === String(ids[at]));
    const theirs = reference.filter((row, at) => {
      const wanted = row[name].ids.filter((id) => id !== from.endTokenId);
      return wanted.map(from.pieceOf).join(" ") === pieces[at];
    });
    const of = `${title}, ${name}: outputs equal to the reference, of ${reference.length}`;
    report.add(`${of}: Millrace`, [ours.length]);
    report.add(`${of}: CTranslate2`, [theirs.length]);
  }
}
