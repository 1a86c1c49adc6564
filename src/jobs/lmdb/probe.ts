/** A process of its own that walks all keys of a file and reads every record; whatever is wrong with it, it is said by its end. */
import { messageOf } from "../../work/thrown.js";
import { Tables } from "./tables.js";

const [, , path, depth] = process.argv;
if (path === undefined) throw new Error("the path of the file is missing");
try {
  const tables = new Tables(path, { isReadOnly: true });
  tables.walk({ isDeep: depth === "deep" });
  await tables.close();
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
