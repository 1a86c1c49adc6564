/** `/v1/profile` of a real server with a pipeline. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { Millrace, MillraceError } from "millrace-client";
import type {
  ProfileNode,
  ProfileResponse,
  SampledProfile,
  StatusResponse,
} from "millrace-client/wire";
import { type AskedSampling, Profiles } from "#src/profile/profiles.js";
import { accessFor, TestFront } from "../support/http-front.js";
import { millrace, ServeProcess } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

const stillServer = {
  pipelineIds: () => ["p"],
  stages: () => [],
  isDraining: () => false,
  hasOthers: () => false,
};
const never = new AbortController().signal;

/** A pipeline that answers when its profile ends. */
const answering = (_: string, { until: ends }: AskedSampling) =>
  new Promise<SampledProfile>((resolve) => {
    const answer = () => resolve({ ...madeProfile, everyMs: 7 });
    if (ends.aborted) answer();
    else ends.addEventListener("abort", answer);
  });
const onlyOfP = (...asked: Parameters<typeof answering>) =>
  asked[0] === "p" ? answering(...asked) : null;
const madeProfile: SampledProfile = {
  sampledMs: 1,
  everyMs: 1,
  stoodStillMs: { start: 0, stop: 0 },
  nodes: [
    { parent: -1, name: "all", file: "", line: 0, kind: "node", selfMs: 0 },
    { parent: 0, name: "(idle)", file: "", line: 0, kind: "idle", selfMs: 0.4 },
    { parent: 0, name: "step", file: "src/a.ts", line: 7, kind: "javascript", selfMs: 0.6 },
  ],
  graphs: [],
};

test("a running server's front and its busy pipeline, by route and by command", async () => {
  await using server = new ServeProcess(
    millrace,
    "--models",
    "models",
    "--pipelines",
    "1",
    "--threads",
    "1",
  );
  const { http } = await server.logged("ready");
  const url = String(http);
  let working = true;
  const work = (async () => {
    const texts = Array.from(
      { length: 8 },
      (_, at) => `The station number ${at} is behind the church.`,
    );
    const body = JSON.stringify({ texts });
    const headers = { "content-type": "application/json" };
    while (working)
      await (await fetch(`${url}/v1/translate`, { method: "POST", headers, body })).text();
  })();
  // What fails here is told, and not that its server has gone.
  work.catch(() => {});
  // What V8 comes to see in a second is chance on a busy machine: one profile after the other, until what is sought is in it.
  const looked = async (query: string): Promise<ProfileResponse> => {
    const reply = await fetch(`${url}/v1/profile?of=shared-1&seconds=1${query}`, {
      method: "POST",
    });
    assert.equal(reply.status, 200);
    const text = await reply.text();
    assert.ok(!text.includes("church") && !text.includes(process.cwd()), "no text and no path");
    const taken: ProfileResponse = JSON.parse(text);
    assert.equal(taken.of, "shared-1");
    assert.ok(taken.nodes.every(({ file }) => !file.startsWith("/")));
    return taken;
  };
  const caller = "src/runtime/native/native-session.ts";
  await until(async () => {
    const { nodes } = await looked("");
    const call = nodes.find(({ name }) => name === "ONNX Runtime's Run");
    const by = nodes[call?.parent ?? -1];
    return by?.file === caller && by.line > 0;
  });
  const { nodes, graphs } = await until(async () => {
    const taken = await looked("&operators=true");
    const isKernel = ({ kind, selfMs }: ProfileNode): boolean => kind === "kernel" && selfMs > 0;
    return taken.graphs.length === 2 && taken.nodes.some(isKernel) && taken;
  });
  const sides = new Set(graphs.map(({ graph }) => graph.split(" ").at(-1)));
  assert.deepEqual(sides, new Set(["encoder", "decoder"]));
  for (const { runs, watchedRuns, operators, problem } of graphs) {
    assert.equal(problem, null);
    assert.ok(watchedRuns >= 1 && watchedRuns <= runs);
    assert.ok(operators.length > 3);
  }
  const call = nodes.findIndex(({ name }) => name === "ONNX Runtime's Run");
  const decoder = nodes.find(({ parent, name }) => parent === call && name.endsWith("decoder"));
  assert.equal(decoder?.kind, "runtime");
  const ofFront = await fetch(`${url}/v1/profile?operators=true`, { method: "POST" });
  assert.equal(ofFront.status, 400);
  const unknown = await fetch(`${url}/v1/profile?of=nobody`, { method: "POST" });
  assert.equal(unknown.status, 400);
  assert.match(await unknown.text(), /front, shared-1/);
  await using dir = await TempDir.make();
  const { stdout } = await promisify(execFile)(process.execPath, [
    millrace,
    "profile",
    url,
    "--seconds",
    "1",
    "--out",
    dir.path,
    "--json",
  ]);
  const told = JSON.parse(stdout);
  assert.equal(told.of, "front");
  assert.deepEqual(
    told.files.map(({ format }: { readonly format: string }) => format),
    ["svg", "speedscope"],
  );
  const dying = fetch(`${url}/v1/profile?of=shared-1&seconds=60`, { method: "POST" });
  await until(
    async () => (await fetch(`${url}/v1/profile?seconds=1`, { method: "POST" })).status === 429,
  );
  const status: StatusResponse = JSON.parse(await (await fetch(`${url}/status`)).text());
  process.kill(status.pipelines[0]?.pid ?? 0, "SIGKILL");
  const dead = await dying;
  assert.equal(dead.status, 503);
  assert.match(await dead.text(), /worker_lost/);
  working = false;
  await work;
});

test("one at a time; whoever ends it or leaves makes room for the next", async () => {
  const profiles = new Profiles({ ...stillServer, ofPipeline: () => null });
  await using front = await TestFront.start({}, { profiles });
  const path = `${front.url}/v1/profile`;
  const first = fetch(`${path}?seconds=60`, { method: "POST" });
  await until(async () => {
    const busy = await fetch(`${path}?of=nobody`, { method: "POST" });
    return busy.status === 429 && /DELETE \/v1\/profile/.test(await busy.text());
  });
  assert.deepEqual(await (await fetch(path, { method: "DELETE" })).json(), { ended: true });
  assert.equal((await first).status, 200);
  const leaving = new AbortController();
  const left = fetch(`${path}?seconds=60`, { method: "POST", signal: leaving.signal });
  left.catch(() => {});
  await until(async () => (await fetch(`${path}?of=nobody`, { method: "POST" })).status === 429);
  leaving.abort();
  await until(async () => (await fetch(`${path}?of=nobody`, { method: "POST" })).status === 400);
  assert.equal(profiles.end(), false);
  assert.equal((await fetch(`${path}?seconds=61`, { method: "POST" })).status, 400);
});

test("defect: whoever ended a profile ended somebody else's", async () => {
  const profiles = new Profiles({ ...stillServer, ofPipeline: onlyOfP });
  await using front = await TestFront.start({}, { profiles });
  await using client = new Millrace(front.url, { retry: { attemptsMax: 1 } });
  const asked = { of: "p", seconds: 60 };
  const taking = client.profile({ ...asked, id: "mine" });
  await until(async () => {
    const other = client.profile({ of: "nobody", seconds: 1, id: "other" });
    return await other.then(
      () => false,
      (error: unknown) => error instanceof MillraceError && error.code === "queue_full",
    );
  });
  assert.equal(await client.endProfile({ id: "other" }), false);
  assert.equal(await client.endProfile({ id: "mine" }), true);
  assert.equal((await taking).everyMs, 7);
  assert.equal(await client.endProfile({ id: "mine" }), false);
  // One without an id ends by no id; whoever names none ends any.
  const nameless = profiles.take({ of: "p", ms: 60_000, operators: false }, never);
  assert.equal(await client.endProfile({ id: "mine" }), false);
  assert.equal(await client.endProfile(), true);
  assert.equal((await nameless).everyMs, 7);
  await assert.rejects(client.profile({ ...asked, id: "no/such" }), { code: "bad_request" });
});

test("defect: Ctrl-C of the command ended whichever profile was taken", async () => {
  const ends: (string | undefined)[] = [];
  class WatchedProfiles extends Profiles {
    override end(id?: string): boolean {
      ends.push(id);
      return super.end(id);
    }
  }
  const profiles = new WatchedProfiles({ ...stillServer, ofPipeline: onlyOfP });
  await using front = await TestFront.start({}, { profiles });
  await using dir = await TempDir.make();
  const of = ["--pipeline", "p", "--seconds", "60", "--out", dir.path];
  const child = spawn(process.execPath, [millrace, "profile", front.url, ...of]);
  const closed = once(child, "close");
  await until(async () => {
    const asked = await fetch(`${front.url}/v1/profile?of=nobody`, { method: "POST" });
    return asked.status === 429;
  });
  child.kill("SIGINT");
  assert.deepEqual(await closed, [130, null]);
  await readFile(dir.file("millrace-p.svg"), "utf8");
  assert.match(ends[0] ?? "", /^[\w-]{36}$/);
});

test("a server that stops takes none, and a key that may not administrate gets none", async () => {
  const profiles = new Profiles({ ...stillServer, isDraining: () => true, ofPipeline: () => null });
  await assert.rejects(
    profiles.take({ of: "front", ms: 1, operators: false }, new AbortController().signal),
    {
      code: "draining",
    },
  );
  await using front = await TestFront.start({}, { profiles, access: accessFor("one") });
  const headers = { authorization: "Bearer one" };
  assert.equal((await fetch(`${front.url}/v1/profile`, { method: "POST", headers })).status, 403);
});

test("a caller who leaves while a pipeline is profiled ends it, and makes room", async () => {
  const profiles = new Profiles({ ...stillServer, ofPipeline: answering });
  const departed = new AbortController();
  const asked = { of: "p", ms: 60_000, operators: true };
  const taking = profiles.take(asked, departed.signal);
  await assert.rejects(profiles.take({ ...asked, of: "front", operators: false }, never), {
    code: "queue_full",
  });
  departed.abort();
  await assert.rejects(taking, { code: "cancelled" });
  assert.equal((await profiles.take({ ...asked, ms: 1 }, never)).everyMs, 7);
});

test("a pipeline that never answers is not waited for without an end, and makes room", async () => {
  let answers = false;
  const ofPipeline = (...asked: Parameters<typeof answering>) =>
    answers ? answering(...asked) : new Promise<SampledProfile>(() => {});
  const profiles = new Profiles({ ...stillServer, ofPipeline, answerMsMax: 1 });
  const asked = { of: "p", ms: 1, operators: false };
  await assert.rejects(profiles.take(asked, never), { code: "worker_lost" });
  answers = true;
  assert.equal((await profiles.take(asked, never)).everyMs, 7);
});

test("defect: a profile that was answered left a timer of a minute behind, which kept its process", async () => {
  const profiles = new Profiles({ ...stillServer, ofPipeline: answering });
  const timers = () => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
  const before = timers();
  await profiles.take({ of: "p", ms: 1, operators: false }, never);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(timers() <= before, `${timers()} timers, ${before} before`);
});

test("the pipelines of other servers are asked for there", async () => {
  const parts = { ...stillServer, hasOthers: () => true, ofPipeline: () => null };
  const asked = { of: "shared-9", ms: 1, operators: false };
  await assert.rejects(new Profiles(parts).take(asked, never), {
    code: "bad_request",
    message: /there are: front, p\..*GET \/v1\/nodes/,
  });
});

test("a server that stops ends the profile that is taken, and answers with what was seen", async () => {
  await using server = new ServeProcess(millrace, "--models", "models", "--pipelines", "1");
  const { http } = await server.logged("ready");
  const path = `${String(http)}/v1/profile?seconds=60`;
  const taking = fetch(path, { method: "POST" });
  const asked = `${String(http)}/v1/profile?of=nobody`;
  await until(async () => (await fetch(asked, { method: "POST" })).status === 429);
  server.child.kill("SIGTERM");
  const taken = (await (await taking).json()) as ProfileResponse;
  assert.equal(taken.of, "front");
  assert.ok(taken.sampledMs < 60_000);
  assert.deepEqual(await server.exited, [0, null]);
});

test("the command: Ctrl-C keeps what was seen; formats; files that are there, and that cannot be", async () => {
  const profiles = new Profiles({ ...stillServer, ofPipeline: onlyOfP });
  await using front = await TestFront.start({}, { profiles });
  await using dir = await TempDir.make();
  const command = (...flags: readonly string[]) =>
    spawn(process.execPath, [millrace, "profile", front.url, ...flags], { stdio: "pipe" });
  const ended = async (child: ReturnType<typeof command>) => {
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    const [code] = await once(child, "close");
    return { code, said };
  };

  const cut = command("--pipeline", "p", "--seconds", "60", "--out", dir.file("cut"));
  const cutEnded = ended(cut);
  await until(
    async () =>
      (await fetch(`${front.url}/v1/profile?of=nobody`, { method: "POST" })).status === 429,
  );
  cut.kill("SIGINT");
  const { code, said } = await cutEnded;
  assert.equal(code, 130, said);
  const svg = await readFile(dir.file("cut/millrace-p.svg"), "utf8");
  // Names are text, which a browser searches, and whole in the title of their frame.
  assert.match(svg, /<title>step src\/a\.ts:7: 0\.6 ms, 60\.0%<\/title>/);
  assert.match(svg, /<text [^>]*>\(idle\)<\/text>/);

  const there = dir.file("there.cpuprofile");
  await writeFile(there, "old");
  const over = await ended(command("--seconds", "1", "--format", "cpuprofile", "--out", there));
  assert.equal(over.code, 0, over.said);
  assert.ok(Array.isArray(JSON.parse(await readFile(there, "utf8")).nodes));

  await mkdir(dir.file("folder.svg"));
  const asked = ["--pipeline", "p", "--seconds", "1", "--format", "svg"];
  const inside = await ended(command(...asked, "--out", dir.file("folder.svg")));
  assert.equal(inside.code, 0, inside.said);
  await readFile(dir.file("folder.svg/millrace-p.svg"), "utf8");

  // Before anything is profiled: nobody waits a minute for that.
  const refused = await ended(command("--seconds", "60", "--out", `${there}/below`));
  assert.equal(refused.code, 2, refused.said);
  assert.match(refused.said, /--out cannot be written/);
  const unknown = await ended(command("--format", "pdf"));
  assert.equal(unknown.code, 2, unknown.said);
});
