/** One room knows which system this is (src/platform): nobody else asks, nor reads what only one of them has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readSources } from "./imports.js";

const room = "src/platform/";

/** Each with what the room offers instead. */
const kept: readonly (readonly [RegExp, string, planted: string])[] = [
  [/\bprocess\.platform\b/, "platform.name", "if (process.platform === 'linux') a();"],
  [
    /\bplatform\b[^}]*\} from "node:os"/,
    "platform.name",
    'import { arch, platform } from "node:os";',
  ],
  [/\bos\.platform\(/, "platform.name", "os.platform();"],
  [/\bhomedir\b/, "platform.home, which may be null", 'import { homedir } from "node:os";'],
  [/["'`]\/(proc|sys|dev)\//, "a function of Platform", "read(`/proc/${pid}/stat`);"],
  [/\bprocess\.kill\([^,]+, 0\)/, "isAlive", "process.kill(pid, 0);"],
  [
    /\brename\b[^}]*\} from "node:fs(\/promises)?"/,
    "move",
    'import { rename, rm } from "node:fs/promises";',
  ],
  [/\bmkdir\([^;]*\brecursive\b/, "makeFolders", "await mkdir(dir, { recursive: true });"],
  [/\brenameSync\b/, "move", "renameSync(a, b);"],
  [/\benv\["(?:XDG_|LOCALAPPDATA|HOME")/, "platform.cacheHome", 'env["XDG_CACHE_HOME"]'],
];

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

function breaches(files: readonly { readonly path: string; readonly text: string }[]): string[] {
  return files
    .filter(({ path }) => !path.startsWith(room))
    .flatMap(({ path, text }) => {
      const code = withoutComments(text);
      return kept
        .filter(([what]) => what.test(code))
        .map(([what, instead]) => `${path} has ${what}: ${instead} of ${room}`);
    });
}

test("nobody but src/platform asks which system this is", () => {
  const sources = readSources("src", "client/src");
  assert.ok(sources.length > 100, "the sources were found");
  assert.deepEqual(breaches(sources), []);
});

test("each of these would be noticed, and is allowed in the room", () => {
  for (const [what, , planted] of kept) {
    assert.equal(breaches([{ path: "src/work/planted.ts", text: planted }]).length, 1, `${what}`);
    assert.deepEqual(breaches([{ path: `${room}planted.ts`, text: planted }]), []);
    assert.deepEqual(breaches([{ path: "src/work/a.ts", text: `/** ${planted} */` }]), []);
  }
});
