/** `models pull ORG/NAME` without its command: in this process, and repeated without a pause. */
import { hubOf } from "#src/hub/ask-hub.js";
import { neededFiles } from "#src/hub/choose-files.js";
import { pullFiles } from "#src/hub/pull.js";
import { readRepository } from "#src/hub/repository.js";
import { takeFolder } from "#src/hub/target-folder.js";

export interface PullOptions {
  readonly name?: string;
  readonly revision?: string;
  readonly replace?: boolean;
  readonly token?: string;
  readonly signal?: AbortSignal;
  readonly silenceMsMax?: number;
}

export async function pullRepository(
  endpoint: string,
  dir: string,
  options: PullOptions = {},
): Promise<void> {
  const { name = "org/made", revision = "main", replace = false, token, silenceMsMax } = options;
  const { signal = new AbortController().signal } = options;
  const usual = hubOf(`${endpoint}/`, token);
  const hub = { ...usual, silenceMsMax: silenceMsMax ?? usual.silenceMsMax };
  const repository = await readRepository(hub, { name, revision, pauseMs: 1 }, signal);
  const files = neededFiles(repository.files);
  const target = { dir, hub, repository, revision, files, replace, signal };
  const { missing, finish } = await takeFolder(target);
  await pullFiles(missing, { hub, repository, dir, signal, onBytes: () => {}, pauseMs: 1 });
  await finish();
}
