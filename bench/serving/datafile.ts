/** `npm run bench -- datafile`: the seeds' tables of a file that is sent in batches, theirs printed beside ours. */
import { parseArgs } from "node:util";
import { workClasses } from "millrace-client/wire";
import { amountOf, countsOf, usual } from "../harness/flags.js";
import { spread } from "../harness/machine.js";
import { inTurns } from "../harness/rounds.js";
import { type DataFile, dataFileNames, readDataFile } from "./data-files.js";
import { takeLines } from "./lines.js";
import { type SeedFigure, seedFigures } from "./seed-figures.js";
import { type Served, withServers } from "./served.js";
import {
  commonFlags,
  type Experiment,
  endExperiment,
  openExperiment,
  ownLayout,
  usageOf,
} from "./settings.js";
import { type Call, tellGenerator, type Wave } from "./wave.js";

const defaults = { name: "datafile", layouts: ownLayout(), rounds: 3 };
const usage = `npm run bench -- datafile [flags]
The seeds' tables through the whole server: a caller sends a file in batches, all of them at once, as the seeds' client does, and waits for
the last result. Their figures are printed beside ours: theirs on their GPU, with a model of Transformer base and 3 beams.

  --data DIR        with data_100.txt to data_4k.txt (default: ../shared/data/sentences, else the lines of models/calibration.en.txt)
  --files LIST      (default: data_100,data_500,data_1k,data_2k,data_4k)
  --batches LIST    sentences of a request (default: 8,64,128)
  --callers LIST    who send the same file at once (default: 1,2)
  --all             every file with every batch and number of callers, not only the rows that the seeds' tables have
  --class NAME      of the requests, bulk or realtime (default: bulk)
  --scale X         of each file's lines, for a short run (default: 1)
%common

npm run bench -- datafile --scale 0.2
npm run bench -- datafile --files data_1k --batches 8,64,128 --callers 1,2 --all --json datafile.json --plot plots`;

const flags = {
  ...commonFlags,
  data: { type: "string" },
  files: { type: "string", default: dataFileNames.join(",") },
  batches: { type: "string", default: "8,64,128" },
  callers: { type: "string", default: "1,2" },
  all: { type: "boolean", default: false },
  class: { type: "string", default: "bulk" },
  scale: usual.scale,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usageOf(usage, defaults));
  const scale = amountOf("scale", values.scale);
  const files = values.files.split(",").map((name) => readDataFile(name, values.data, scale));
  const batches = countsOf("batches", values.batches);
  const callers = countsOf("callers", values.callers);
  const workClass = workClasses.find((each) => each === values.class);
  if (workClass === undefined) throw new Error(`there is no class ${values.class}`);
  const own = { files: values.files, batches, callers, class: workClass, scale };
  const experiment = await openExperiment(values, own, defaults);
  for (const { name, instead, lines } of files) {
    if (instead !== null)
      experiment.report.say(
        `${name} is not there: ${lines.length} lines of ${instead} are taken, again and again`,
      );
  }
  const rows = files.flatMap((file) =>
    batches.flatMap((batch) => callers.map((count) => ({ file, batch, callers: count }))),
  );
  const wanted = values.all ? rows : rows.filter((row) => theirs(row).length > 0);
  if (wanted.length === 0) throw new Error("the seeds' tables have no such row; add --all");
  const lines = files.flatMap((file) => file.lines);
  await withServers(experiment, lines, async (servers) => {
    const fields = { ...experiment.fields, class: workClass };
    await bench({ experiment, servers, rows: wanted, fields });
  });
  await endExperiment(experiment);
}

interface Row {
  readonly file: DataFile;
  readonly batch: number;
  readonly callers: number;
}

interface Bench {
  readonly experiment: Experiment;
  readonly servers: readonly Served[];
  readonly rows: readonly Row[];
  readonly fields: Call["fields"];
}

interface Measured extends Row {
  readonly server: Served;
  readonly waves: readonly Wave[];
}

async function bench(of: Bench): Promise<void> {
  const { experiment, servers, rows, fields } = of;
  const { report } = experiment;
  const cases = rows.flatMap((row) => servers.map((server) => ({ ...row, server })));
  const waves = await inTurns(cases, experiment.rounds, async ({ server, ...row }) => {
    return await server.ask(callsOf(row, fields));
  });
  const measured = cases.map((one): Measured => ({ ...one, waves: waves.get(one) ?? [] }));
  report.table({
    title:
      "a file in batches, until the last result; the seeds' own figures beside it (their GPU, Transformer base, 3 beams)",
    columns: [
      "file",
      "batch",
      "callers",
      "pipelines",
      "total ms",
      "ms a sentence",
      "ECTrans ms",
      "a sentence",
      "ECTrans_pipeline ms",
      "a sentence",
    ],
    rows: measured.map((one) => [
      one.file.name,
      String(one.batch),
      String(one.callers),
      one.server.variant.name,
      one.waves.map(({ totalMs }) => totalMs),
      perSentence(one),
      ...theirCells(one, "ECTrans"),
      ...theirCells(one, "ECTrans_pipeline"),
    ]),
  });
  tellGenerator(
    report,
    measured.flatMap((one) => one.waves),
  );
  plot(experiment, measured);
}

/** Each caller sends all of the file; batches of all of them come in turns. */
function callsOf({ file, batch, callers }: Row, fields: Call["fields"]): readonly Call[] {
  const { lines } = file;
  const batches = Math.ceil(lines.length / batch);
  return Array.from({ length: batches }, (_, at) => {
    const from = at * batch;
    const texts = takeLines(lines, from, Math.min(batch, lines.length - from));
    return Array.from({ length: callers }, () => ({ dueMs: 0, texts, fields }));
  }).flat();
}

/** As the seeds count: by the sentences of one file, whoever else sends one at the same time. */
function perSentence({ file, waves }: Measured): readonly number[] {
  return waves.map(({ totalMs }) => totalMs / file.lines.length);
}

function theirs({ file, batch, callers }: Row): readonly SeedFigure[] {
  return seedFigures.filter(
    (each) => each.file === file.name && each.batch === batch && each.callers === callers,
  );
}

function theirCells(row: Row, server: SeedFigure["server"]): readonly [string, string] {
  const figure = theirs(row).find((each) => each.server === server);
  if (figure === undefined) return ["", ""];
  return [figure.totalMs.toFixed(0), (figure.totalMs / figure.lines).toFixed(1)];
}

function plot({ report, plotNote }: Experiment, measured: readonly Measured[]): void {
  const rows = measured.map(
    (one) => `${one.file.name.slice("data_".length)}/${one.batch}/${one.callers}`,
  );
  const categories = [...new Set(rows)];
  const of = (name: string) =>
    categories.map((category) =>
      measured.find((one, at) => rows[at] === category && one.server.variant.name === name),
    );
  const names = [...new Set(measured.map(({ server }) => server.variant.name))];
  const [first = ""] = names;
  const their = (server: SeedFigure["server"]) =>
    of(first).map((one) => {
      const figure = one && theirs(one).find((each) => each.server === server);
      if (figure === undefined) return null;
      const value = figure.totalMs / figure.lines;
      return { median: value, least: value, most: value };
    });
  report.plot({
    name: "datafile",
    title: "A file in batches: ms a sentence",
    note: `${plotNote}; the seeds: their GPU, 3 beams`,
    mark: "bars",
    x: { label: "file / sentences of a batch / callers", categories },
    y: { label: "ms a sentence", scale: "linear" },
    series: [
      ...names.map((name) => ({
        name,
        points: of(name).map((one) => (one === undefined ? null : spread(perSentence(one)))),
      })),
      { name: "ECTrans, theirs", points: their("ECTrans") },
      { name: "ECTrans_pipeline, theirs", points: their("ECTrans_pipeline") },
    ],
  });
}
