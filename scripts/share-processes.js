// Puts files of tests together that can share a process. Each by itself would load the same code again: half a second of a core,
// which is more than most tests take.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

/** By folder, how many files of it share a process. */
const filesMax = { faults: 4, e2e: 4, regression: 4, conformance: 8, sim: 4, unit: 30, house: 20 };

// By itself runs what measures or changes its process as a whole, its environment too, or looks at its children.
const isAlone =
  /process\.(on|memoryUsage)\(|process\.env\["\w+"\] = |\(process\.pid\)|"\/proc\/self\/(fd|maps)"|EventLoop|setFlagsFromString|getHeapSnapshot|mock\.method\((String|globalThis)/;

const groups = "build/together";

/** `filesOf` has the files of each folder, in its order; each comes as files to run, those of many first, so that what is short is left for the end. */
export function shareProcesses(filesOf) {
  rmSync(groups, { recursive: true, force: true });
  mkdirSync(groups, { recursive: true });
  return Object.entries(filesOf).flatMap(([folder, files]) => {
    const together = folder in filesMax ? files.filter(canShare) : [];
    const count = Math.ceil(together.length / filesMax[folder]);
    const shared = Array.from({ length: count }, (_, at) =>
      writeGroup(
        `${folder}-${at + 1}`,
        together.filter((_file, place) => place % count === at),
      ),
    );
    return [...shared, ...files.filter((file) => !together.includes(file))];
  });
}

function canShare(file) {
  const text = readFileSync(file, "utf8");
  return !isAlone.test(text) && importsEnd(text) > 0 && !/^export /m.test(text);
}

function writeGroup(name, files) {
  const lines = files.map(
    (file) => `import ${JSON.stringify(relative(groups, writeSuite(file)))};\n`,
  );
  const group = join(groups, `${name}.test.js`);
  writeFileSync(group, lines.join(""));
  return group;
}

// Hooks of a file are for its own tests: it becomes a suite. Beside the file, for what it names by its own place, and with every
// line where it was, for its map.
function writeSuite(file) {
  const text = readFileSync(file, "utf8");
  const end = importsEnd(text) - 1;
  const map = text.lastIndexOf("\n//# sourceMappingURL=");
  const name = JSON.stringify(relative("build/test", file).replace(/\.test\.js$/, ""));
  const suite = join(dirname(file), basename(file).replace(/\.test\.js$/, ".suite.js"));
  const head = `import { describe as suiteOf } from "node:test"; ${text.slice(0, end)}`;
  const body = ` suiteOf(${name}, async () => {${text.slice(end, map)}\n});`;
  writeFileSync(suite, `${head}${body}${text.slice(map)}`);
  return suite;
}

/** The compiler leaves a file's imports together, in front of all else of it. */
function importsEnd(text) {
  const each =
    /(?:import (?:[^;"]*? from )?"[^"]+"(?: with \{[^}]*\})?;|\/\/.*|\/\*[\s\S]*?\*\/)\n/y;
  each.lastIndex = Math.max(0, text.search(/^import /m));
  let end = 0;
  // A comment behind them is of what comes next, and would hide what is written at its end.
  for (let found = each.exec(text); found !== null; found = each.exec(text))
    if (found[0].startsWith("import ")) end = each.lastIndex;
  return end;
}
