// Failures of compiled tests as a person needs them: the lines are the sources' own, and what hung is a test that failed.
import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { dirname, join, resolve } from "node:path";
import { hungIn } from "./name-hung-tests.js";

/** By file; null where there is none. */
const maps = new Map();

// Every process of a test that kept its sources' lines itself would read a map for each file that it loads, for nothing
// where nothing fails.
function mapOf(file) {
  let map = maps.get(file);
  if (map === undefined) {
    map = readMap(file);
    maps.set(file, map);
  }
  return map;
}

function readMap(file) {
  if (!existsSync(file)) return null;
  const [, beside] = /^\/\/# sourceMappingURL=(\S+)$/m.exec(readFileSync(file, "utf8")) ?? [];
  if (beside === undefined) return null;
  return new SourceMap(JSON.parse(readFileSync(join(dirname(file), beside), "utf8")));
}

/** Of a stack, a message or what else has `file.js:1:2` in it. */
export function inSources(text) {
  return text.replace(/(?:file:\/\/)?\/[^\s():]+\.m?js:\d+:\d+/g, (place) => {
    const [, file, line, column] = /(\/[^:]+):(\d+):(\d+)$/.exec(place.replace("file://", ""));
    const found = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1);
    if (found?.originalSource === undefined) return place;
    const source = resolve(dirname(file), found.originalSource);
    return `${source}:${found.originalLine + 1}:${found.originalColumn + 1}`;
  });
}

function inSourcesOf(failure) {
  for (let each = failure.details.error; each instanceof Error; each = each.cause) {
    // Of an assertion of Node 24 it is read only.
    if (typeof each.stack === "string")
      Reflect.defineProperty(each, "stack", { value: inSources(each.stack) });
  }
}

/** For `run().compose()`: the same events, and those of the tests that hung. */
export async function* plainFailures(events) {
  for await (const event of events) {
    const { type, data } = event;
    if (type === "test:fail") inSourcesOf(data);
    yield event;
    if (type === "test:stderr") yield* hungTests(data.message);
  }
}

// Of a process that ended by itself the runner says nothing more where another test of it failed, and else only which it was.
function* hungTests(line) {
  const hung = hungIn(line);
  if (hung === null) return;
  const error = Object.assign(new Error(hung), { stack: hung });
  const data = { name: hung, nesting: 0, details: { duration_ms: 0, error } };
  yield { type: "test:start", data };
  yield { type: "test:fail", data };
}
