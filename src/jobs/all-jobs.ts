/** Every job that is kept, whoever's, in the order in which they were made or against it: a page at a time. */
import type { JobStore, PageQuery, StoredJob } from "./store.js";

const pageJobs = 100;

/** @throws MillraceError `job_store_failed` */
export async function* allJobs(
  store: Pick<JobStore, "jobs">,
  order: NonNullable<PageQuery["order"]> = "asc",
): AsyncGenerator<StoredJob> {
  let after: number | undefined;
  for (;;) {
    const page = await store.jobs({
      owner: undefined,
      limit: pageJobs,
      order,
      ...(after === undefined ? {} : { after }),
    });
    yield* page;
    after = page.at(-1)?.sequence;
    if (page.length < pageJobs) return;
  }
}
