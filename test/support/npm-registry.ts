import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export const isUnreachable = (): Promise<boolean> =>
  run("npm", ["view", "commander", "version", "--fetch-retries=0"]).then(
    () => false,
    () => true,
  );
