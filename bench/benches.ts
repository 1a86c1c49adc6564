/**
 * READ FIRST of this folder. What can be measured, by the name that `npm run bench -- NAME` takes. Each line says what the benchmark answers: above its own help, in the
 * list of all, and in CONTRIBUTING.md, which a test holds to this table.
 */
interface Benchmark {
  readonly about: string;
  readonly open: () => Promise<{ readonly run: (args: readonly string[]) => Promise<void> }>;
}

export const benches: Readonly<Record<string, Benchmark>> = {
  clients: {
    about:
      "what the clients' protocols cost, and what a caller gains beside the usual way to serve",
    open: () => import("./clients/clients.js"),
  },
  costs: {
    about:
      "what it costs a busy server that somebody looks on: pages, a recording, profiles, traces",
    open: () => import("./costs/costs.js"),
  },
  ctranslate2: {
    about: "how Millrace does beside CTranslate2: sentences a second, memory, outputs",
    open: () => import("./rivals/ctranslate2/ctranslate2.js"),
  },
  datafile: {
    about: "how long a file takes that is sent in batches, as the seeds' client does it",
    open: () => import("./serving/datafile.js"),
  },
  defaults: {
    about: "how a server that nobody has configured does against the best fixed configuration",
    open: () => import("./defaults/defaults.js"),
  },
  engine: {
    about:
      "what the engine gains over simpler ways to drive the same graphs, and what the server costs",
    open: () => import("./engine.js"),
  },
  "first-use": {
    about:
      "how long it takes from nothing to a translation, an own model, a picture read, a diagnosis",
    open: () => import("./first-use.js"),
  },
  floor: {
    about: "what a step and a chunk take against their matrix products alone",
    open: () => import("./engine-floor/floor.js"),
  },
  frames: {
    about: "bytes and time of an item on its way between two processes",
    open: () => import("./frames.js"),
  },
  hostile: {
    about: "what strangers can do to a server, and what it costs the others",
    open: () => import("./hostile/hostile.js"),
  },
  jobs: {
    about: "what durable jobs cost, and what is left of them when servers are killed",
    open: () => import("./jobs/jobs.js"),
  },
  "make-model": {
    about: "no measurement: a model of the size that is wanted, with made weights",
    open: () => import("./made-marian/make-model.js"),
  },
  memory: {
    about: "what a second pipeline of a model adds to memory",
    open: () => import("./memory.js"),
  },
  mix: {
    about: "how long small requests wait behind large ones, and what these cost each other",
    open: () => import("./serving/mix.js"),
  },
  nodes: {
    about: "what many machines do together over NATS, and what is lost when one dies",
    open: () => import("./nodes/nodes.js"),
  },
  page: {
    about: "what open pages cost the server",
    open: () => import("./page/page.js"),
  },
  plots: {
    about: "no measurement: draws what `--json` of another one wrote",
    open: () => import("./harness/finish.js"),
  },
  plan: {
    about: "how near a plan comes to what really happened",
    open: () => import("./planning/planning.js"),
  },
  policies: {
    about: "how soon callers are served by fcfs, seed-router and millrace on one engine",
    open: () => import("./policies/policies.js"),
  },
  profile: {
    about: "where the engine's time goes, by operator and by function",
    open: () => import("./engine-floor/profile.js"),
  },
  "profiler-start": {
    about: "why a thread stands still when a profile of it begins",
    open: () => import("./profiler-start.js"),
  },
  pytorch: {
    about: "how Millrace does beside PyTorch: sentences a second, outputs",
    open: () => import("./rivals/pytorch/pytorch.js"),
  },
  real: {
    about: "how long many callers with a few sentences each wait",
    open: () => import("./serving/real.js"),
  },
  "record-runs": {
    about: "no comparison: how long the runs of a model take, for the simulator",
    open: () => import("./record-runs.js"),
  },
  scheduler: {
    about: "what a decision of the scheduler costs with up to a million items queued",
    open: () => import("./scheduler/scheduler.js"),
  },
  "seed-000": {
    about: "whether work goes on while status is polled without a pause",
    open: () => import("./seed-000.js"),
  },
  "seeds-decoder": {
    about: "how long a sentence takes beside the seeds' way of decoding",
    open: () => import("./rivals/seeds-decoder/seeds-decoder.js"),
  },
  "seeds-experiments": {
    about: "when `real` and `mix` are finished, beside the seeds' way of decoding",
    open: () => import("./rivals/seeds-decoder/experiments.js"),
  },
  "seeds-processes": {
    about: "how soon callers are served, beside processes that nobody schedules",
    open: () => import("./rivals/seeds-processes.js"),
  },
  shortlist: {
    about: "what a vocabulary shortlist gains, and what it costs",
    open: () => import("./shortlist.js"),
  },
  stages: {
    about:
      "what it costs to cut elsewhere: token ids from callers, encoder and decoder in two processes",
    open: () => import("./serving/stages.js"),
  },
  tasks: {
    about: "what the tasks beside translation gain from packing, int8 and company",
    open: () => import("./tasks/tasks.js"),
  },
};
