/** TLS on the main port: what is spoken, how a certificate is replaced, and who holds a handshake for ever. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { Agent, get } from "node:https";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { Options } from "#src/options/options.js";
import { type Certificate, makeCertificate } from "../support/certificate.js";
import { type EchoServer, startEcho } from "../support/echo-server.js";
import { TempDir } from "../support/temp-dir.js";
import { WsClient } from "../support/ws-client.js";

const limit = { timeout: 30_000 };

class Tls implements AsyncDisposable {
  readonly #dir: TempDir;

  static async make(certificate: Certificate): Promise<Tls> {
    const tls = new Tls(await TempDir.make());
    await tls.write(certificate);
    return tls;
  }

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  get options(): Pick<Options, "tlsCert" | "tlsKey"> {
    return { tlsCert: this.#dir.file("tls.crt"), tlsKey: this.#dir.file("tls.key") };
  }

  async write({ cert, key }: Partial<Certificate>): Promise<void> {
    if (cert !== undefined) await writeFile(this.#dir.file("tls.crt"), cert);
    if (key !== undefined) await writeFile(this.#dir.file("tls.key"), key);
  }

  serve(code: Partial<Options> = {}): Promise<EchoServer> {
    return startEcho({ ...this.options, ...code });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** Over a connection of its own, which trusts this certificate only. */
async function statusOf(url: string, { cert }: Certificate): Promise<number> {
  const agent = new Agent({ ca: cert, keepAlive: false });
  const request = get(`${url}/live`, { agent, servername: "localhost" });
  const [response] = (await once(request, "response")) as [{ statusCode: number; resume(): void }];
  response.resume();
  agent.destroy();
  return response.statusCode;
}

async function handshake(port: string, options: ConnectionOptions): Promise<string | null> {
  const socket = connectTls({
    port: Number(port),
    host: "127.0.0.1",
    servername: "localhost",
    ...options,
  });
  await once(socket, "secureConnect");
  const protocol = socket.getProtocol();
  socket.destroy();
  return protocol;
}

test("a server with a certificate speaks TLS 1.2 and 1.3, and nothing else", limit, async () => {
  const certificate = makeCertificate();
  await using tls = await Tls.make(certificate);
  await using echo = await tls.serve();
  const { url } = echo.server;
  assert.match(url, /^https:/);
  assert.equal(await statusOf(url, certificate), 200);
  const { port } = new URL(url);
  const { cert: ca } = certificate;
  assert.equal(await handshake(port, { ca, maxVersion: "TLSv1.2" }), "TLSv1.2");
  assert.equal(await handshake(port, { ca, minVersion: "TLSv1.3" }), "TLSv1.3");
  // So that the refusal is the server's: this client would speak it.
  const old = {
    ca,
    minVersion: "TLSv1",
    maxVersion: "TLSv1.1",
    ciphers: "ALL:@SECLEVEL=0",
  } as const;
  await assert.rejects(handshake(port, old), /protocol version|unsupported protocol|ECONNRESET/i);
  const plain = connect(Number(port), "127.0.0.1");
  plain.on("error", () => {});
  plain.write("GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await once(plain, "close");
  assert.equal(await statusOf(url, certificate), 200);
});

test(
  "a certificate is replaced without a restart, one file after the other; what is open stays open",
  limit,
  async () => {
    const [first, second] = [makeCertificate(), makeCertificate()];
    await using tls = await Tls.make(first);
    await using echo = await tls.serve();
    const { url } = echo.server;
    const { port } = new URL(url);
    const open = connectTls({
      port: Number(port),
      host: "127.0.0.1",
      ca: first.cert,
      servername: "localhost",
    });
    await once(open, "secureConnect");
    await tls.write({ cert: second.cert });
    await echo.logged("certificate and key have changed and are not used: the old ones stay");
    assert.equal(await statusOf(url, first), 200, "half a pair is none");
    await tls.write({ key: second.key });
    await echo.logged("certificate read again");
    assert.equal(await statusOf(url, second), 200);
    await assert.rejects(statusOf(url, first), /certificate|self.signed/i);
    open.write("GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n");
    const [reply] = (await once(open, "data")) as [Buffer];
    assert.match(reply.toString(), /^HTTP\/1\.1 200 /);
    open.destroy();
  },
);

for (const [what, damage, why] of [
  [
    "that is broken",
    { cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" },
    /tls-cert .*tls\.crt cannot be used/,
  ],
  ["that is empty", { cert: "" }, /tls-cert .*tls\.crt cannot be used/],
  [
    "whose key is another's",
    { key: makeCertificate().key },
    /tls-key .*tls\.key for .* cannot be used/,
  ],
  ["whose key is no key", { key: "none" }, /tls-key .*tls\.key for .* cannot be used/],
] as const) {
  test(
    `a certificate ${what} is not used: no server starts with it, and a running one keeps what it has`,
    limit,
    async () => {
      const certificate = makeCertificate();
      await using tls = await Tls.make(certificate);
      await using echo = await tls.serve();
      await tls.write(damage);
      await assert.rejects(tls.serve(), why);
      const told = await echo.logged(
        "certificate and key have changed and are not used: the old ones stay",
      );
      assert.match(String(told["why"]), why);
      assert.equal(await statusOf(echo.server.url, certificate), 200);
    },
  );
}

test("a certificate that has run out is told of", limit, async () => {
  await using tls = await Tls.make(makeCertificate(-60_000));
  await using echo = await tls.serve();
  await echo.logged("the certificate has run out");
});

test(
  "hundreds who begin a handshake and do not go on hold nobody out, and their number has a bound",
  limit,
  async () => {
    const certificate = makeCertificate();
    await using tls = await Tls.make(certificate);
    await using echo = await tls.serve();
    const { url } = echo.server;
    const { port } = new URL(url);
    const closed: number[] = [];
    const silent: Socket[] = [];
    for (let number = 0; number < 300; number++) {
      const socket = connect(Number(port), "127.0.0.1");
      socket.on("error", () => {}).on("close", () => closed.push(number));
      await once(socket, "connect");
      silent.push(socket);
    }
    assert.equal(await statusOf(url, certificate), 200);
    const over = silent.slice(0, 300 - 256);
    await Promise.all(
      over.map(async (socket) => socket.destroyed || (await once(socket, "close"))),
    );
    assert.ok(
      closed.every((number) => number <= over.length),
      `the oldest went: ${closed.join()}`,
    );
    for (const socket of silent) socket.destroy();
  },
);

test(
  "operators' port is plain on loopback, where no certificate could be for it",
  limit,
  async () => {
    await using tls = await Tls.make(makeCertificate());
    await using echo = await tls.serve({ adminPort: 0 });
    assert.match(echo.server.adminUrl ?? "", /^http:\/\/127\.0\.0\.1:/);
    assert.equal((await fetch(`${echo.server.adminUrl}/status`)).status, 200);
  },
);

test(
  "WebSockets, and who only wishes for another protocol, are answered over TLS too",
  limit,
  async () => {
    const certificate = makeCertificate();
    await using tls = await Tls.make(certificate);
    await using echo = await tls.serve();
    const { url } = echo.server;
    await using client = await WsClient.open(`${url}/v1/stream`, { ca: certificate.cert });
    assert.equal((await client.next()).type, "hello");
    client.say({ type: "request", id: "a", task: "translate", texts: ["one"] });
    const [, outcome] = await client.until(({ type }) => type === "done");
    assert.equal(outcome?.type, "outcome");
    const agent = new Agent({ ca: certificate.cert });
    const headers = {
      connection: "upgrade, http2-settings",
      upgrade: "h2c",
      "http2-settings": "AAM",
    };
    const request = get(`${url}/live`, { agent, headers, servername: "localhost" });
    const [response] = (await once(request, "response")) as [
      { statusCode: number; resume(): void },
    ];
    response.resume();
    agent.destroy();
    assert.equal(response.statusCode, 200);
  },
);
