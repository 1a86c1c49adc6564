/** `npm run bench -- NAME [flags]`: measurements that print what they measured, on what, and with which result. */
type Bench = (args: readonly string[]) => Promise<void>;

const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  clients: async () => (await import("./clients/clients.js")).run,
  ctranslate2: async () => (await import("./rivals/ctranslate2/ctranslate2.js")).run,
  datafile: async () => (await import("./serving/datafile.js")).run,
  defaults: async () => (await import("./defaults/defaults.js")).run,
  engine: async () => (await import("./engine.js")).run,
  floor: async () => (await import("./engine-floor/floor.js")).run,
  frames: async () => (await import("./frames.js")).run,
  hostile: async () => (await import("./hostile/hostile.js")).run,
  jobs: async () => (await import("./jobs/jobs.js")).run,
  "make-model": async () => (await import("./made-marian/make-model.js")).run,
  memory: async () => (await import("./memory.js")).run,
  mix: async () => (await import("./serving/mix.js")).run,
  nodes: async () => (await import("./nodes/nodes.js")).run,
  page: async () => (await import("./page.js")).run,
  plots: async () => (await import("./harness/finish.js")).run,
  profile: async () => (await import("./engine-floor/profile.js")).run,
  policies: async () => (await import("./policies/policies.js")).run,
  real: async () => (await import("./serving/real.js")).run,
  pytorch: async () => (await import("./rivals/pytorch/pytorch.js")).run,
  "record-runs": async () => (await import("./record-runs.js")).run,
  scheduler: async () => (await import("./scheduler/scheduler.js")).run,
  shortlist: async () => (await import("./shortlist.js")).run,
  stages: async () => (await import("./serving/stages.js")).run,
  tasks: async () => (await import("./tasks/tasks.js")).run,
  "seeds-decoder": async () => (await import("./rivals/seeds-decoder/seeds-decoder.js")).run,
  "seeds-experiments": async () => (await import("./rivals/seeds-decoder/experiments.js")).run,
  "seeds-processes": async () => (await import("./rivals/seeds-processes.js")).run,
  "seed-000": async () => (await import("./seed-000.js")).run,
};

const [name = "", ...args] = process.argv.slice(2);
const open = benches[name];
if (open === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join("|")} [flags]`);
  process.exit(2);
}
const bench = await open();
await bench(args);
