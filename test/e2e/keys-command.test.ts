/** `millrace keys` as an operator meets it, and the commands and the client with a key, against a server that asks for one. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Millrace, MillraceError } from "millrace-client";
import { changeKeyFile, newKey, readKeyFile } from "#src/access/key-file.js";
import { exitCodes } from "#src/cli/exit-codes.js";
import { registerKeys } from "#src/cli/keys.js";
import { newProgram } from "#src/cli/program.js";
import { makeCertificate } from "../support/certificate.js";
import { startEcho } from "../support/echo-server.js";
import { TempDir } from "../support/temp-dir.js";

const main = fileURLToPath(import.meta.resolve("../support/keyed-cli.js"));

async function millrace(args: readonly string[], variables: NodeJS.ProcessEnv = {}) {
  const env = { ...process.env, ...variables };
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { out, err, code: code as unknown };
}

/** For what prints nothing. */
async function inProcess(args: readonly string[]): Promise<void> {
  const program = newProgram();
  registerKeys(program);
  await program.parseAsync(["keys", ...args], { from: "user" });
}

test("keys are made and shown once, listed without what opens the door, and taken away", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("keys.json");
  const file = ["--keys", path];
  const more = ["--models", "echo,other", "--classes", "bulk", "--rate", "5", "--quota", "0"];
  const made = await millrace(["keys", "add", "shop", ...file, ...more]);
  assert.deepEqual([made.code, /^mr_[\w-]{43}\n$/.test(made.out)], [exitCodes.ok, true], made.err);
  assert.match(made.err, /only time .* shown/);
  const key = made.out.trim();
  const content = await readFile(path, "utf8");
  assert.ok(
    !content.includes(key) && !content.includes(key.slice(3)),
    "the file has its hash only",
  );
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  // The variable that `serve` reads names the file too.
  const listed = await millrace(["keys", "list"], { MILLRACE_KEYS: path });
  assert.match(listed.out, /^shop +\d{4}-\d\d-\d\d +shop +bulk +echo,other +5 +0 +no$/m);
  await assert.rejects(
    inProcess(["add", "shop", ...file]),
    /there is a key called shop; revoke it/,
  );
  const ops = await millrace(["keys", "add", "ops", "--admin", "--json", ...file]);
  const { key: opsKey, ...shown } = JSON.parse(ops.out) as Record<string, unknown>;
  assert.match(String(opsKey), /^mr_/);
  const { createdAt: _, ...rest } = shown;
  assert.deepEqual(rest, { name: "ops", admin: true });
  const revoked = await millrace(["keys", "revoke", "shop", "--json", ...file]);
  assert.deepEqual([revoked.code, revoked.out], [exitCodes.ok, '{"revoked":"shop"}\n']);
  await assert.rejects(
    inProcess(["revoke", "shop", ...file]),
    /no key called shop; there are: ops/,
  );
  const left = await readKeyFile(path);
  assert.deepEqual(
    left.map(({ sha256: _hash, ...others }) => others),
    [shown],
  );
});

for (const [what, args, why] of [
  ["no file", ["list"], /--keys <file>/],
  [
    "a file that is not there",
    ["list", "--keys", "/nowhere/keys.json"],
    /\/nowhere\/keys\.json: there is no such file/,
  ],
  ["a name with a space", ["add", "a b", "--keys", "/nowhere/k"], /1 to 64 letters/],
  [
    "a burst without a rate",
    ["add", "a", "--burst", "3", "--keys", "/nowhere/k"],
    /--burst says nothing without --rate/,
  ],
  [
    "a class that there is none of",
    ["add", "a", "--classes", "fast", "--keys", "/nowhere/k"],
    /One of realtime, bulk/,
  ],
] as const) {
  test(`millrace keys with ${what} is an error that says so`, async () => {
    await assert.rejects(inProcess(args), why);
  });
}

test("commands and client send their key, over TLS too, and say what is wrong without one", async () => {
  await using dir = await TempDir.make();
  const [path, tlsCert, tlsKey] = [dir.file("keys.json"), dir.file("tls.crt"), dir.file("tls.key")];
  const { cert, key: certKey } = makeCertificate();
  await writeFile(tlsCert, cert);
  await writeFile(tlsKey, certKey);
  const { key, sha256 } = newKey();
  const createdAt = new Date().toISOString();
  await changeKeyFile(path, () => [{ name: "ops", sha256, createdAt, admin: true }], "create");
  await using echo = await startEcho({
    keys: path,
    tlsCert,
    tlsKey,
    adminPort: 0,
    adminHost: "0.0.0.0",
    insecure: true,
  });
  const { url } = echo.server;
  const localhost = `https://localhost:${new URL(url).port}`;
  const admin = `https://localhost:${new URL(echo.server.adminUrl ?? "").port}`;
  const trusted = { NODE_EXTRA_CA_CERTS: tlsCert, MILLRACE_KEY: undefined };
  const [stranger, keyed, byVariable, misplaced, wrong] = await Promise.all([
    millrace(["translate", "a", "--url", localhost], trusted),
    millrace(["translate", "ab", "--url", localhost, "--key", key], trusted),
    millrace(["status", "--url", admin], { ...trusted, MILLRACE_KEY: key }),
    millrace(["status", "--url", localhost, "--key", key], trusted),
    millrace(["status", "--url", admin, "--key", `${key}x`], trusted),
  ]);
  assert.equal(stranger.code, exitCodes.refused, stranger.err);
  assert.match(stranger.err, /^unauthenticated: .*\nThe variable MILLRACE_KEY, or --key/);
  assert.deepEqual([keyed.code, keyed.out], [exitCodes.ok, "ba\n"], keyed.err);
  assert.equal(byVariable.code, exitCodes.ok, byVariable.err);
  assert.match(misplaced.err, /--admin-port, give that address/);
  assert.equal(wrong.code, exitCodes.refused, wrong.err);
});

test("a client sends its key as a bearer, and none that no header could carry or that another header contradicts", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("keys.json");
  await using open = await startEcho();
  await using client = new Millrace(open.server.url, { apiKey: "anything" });
  assert.equal((await client.translate("ab")).results.length, 1, "a server without keys takes any");
  for (const apiKey of ["", "a b", "ä", "a\r\nx-evil: 1"]) {
    assert.throws(
      () => new Millrace(open.server.url, { apiKey }),
      (error) =>
        error instanceof MillraceError &&
        error.code === "option_invalid" &&
        !error.message.includes("evil"),
    );
  }
  const headers = { Authorization: "Bearer x" };
  assert.throws(() => new Millrace(open.server.url, { apiKey: "y", headers }), /two credentials/);
  const { key, sha256 } = newKey();
  const createdAt = new Date().toISOString();
  await changeKeyFile(path, () => [{ name: "shop", sha256, createdAt }], "create");
  await using echo = await startEcho({ keys: path });
  await using keyed = new Millrace(echo.server.url, { apiKey: key });
  assert.equal((await keyed.translate(["ab", "c"])).results.length, 2);
  assert.equal((await keyed.models()).models.length, 2);
  await assert.rejects(keyed.status(), { code: "forbidden" });
  await using stranger = new Millrace(echo.server.url);
  await assert.rejects(stranger.translate("ab"), { code: "unauthenticated", retryable: false });
});
