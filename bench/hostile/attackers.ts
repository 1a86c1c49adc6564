/**
 * Child of the hostile benchmark: those who mean no good, in a process of their own. Bombs: connections that send gzip
 * bodies of 4 KB that unfold to the largest body, half of them without ever ending it. Pages: callers that send bodies
 * of a million sentences, one after the other.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { type Quantiles, quantiles } from "../harness/quantiles.js";

export interface AttackReport {
  readonly who: string;
  readonly sent: number;
  /** How often each answer came: the status and the code, or `closed` where none did. */
  readonly answers: Readonly<Record<string, number>>;
  /** From the last byte that was sent to the first of a refusal. */
  readonly refusedAfter: Quantiles;
}

const bodyBytes = 4 * 1024 * 1024 - 64;

/** One text of one letter: what unfolds costs memory, and a model nothing. */
function bomb(): Buffer {
  return gzipSync(`{"texts":["${"a".repeat(bodyBytes)}"]}`, { level: 9 });
}

/** 209 texts of 5,000 sentences. */
function pages(): Buffer {
  const text = "Hi! ".repeat(5_000).trimEnd();
  const texts = Array.from({ length: Math.floor(bodyBytes / (text.length + 3)) }, () => text);
  return Buffer.from(JSON.stringify({ texts }));
}

class Attack {
  readonly #who: string;
  readonly #answers = new Map<string, number>();
  readonly #refusedAfter: number[] = [];
  #sent = 0;

  constructor(who: string) {
    this.#who = who;
  }

  sent(): void {
    this.#sent += 1;
  }

  answered(answer: string, ms: number): void {
    this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1);
    if (!answer.startsWith("200")) this.#refusedAfter.push(ms);
  }

  report(): AttackReport {
    const answers = Object.fromEntries(this.#answers);
    return {
      who: this.#who,
      sent: this.#sent,
      answers,
      refusedAfter: quantiles(this.#refusedAfter),
    };
  }
}

const [url = "", secondsText = "10", bombersText = "300", pagersText = "6"] = process.argv.slice(2);
const { hostname, port } = new URL(url);
const endsAtMs = performance.now() + Number(secondsText) * 1000;
const isOver = (): boolean => performance.now() > endsAtMs;

function head(bytes: number, encoding: string): string {
  return `POST /v1/translate HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n${encoding}content-length: ${bytes}\r\n\r\n`;
}

/** The status and the code of the first answer on the socket; `closed` where it ends without one. */
async function answerOf(socket: Socket): Promise<string> {
  let read = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    read += (chunk as Buffer).toString("latin1");
    const code = /"code":"(\w+)"/.exec(read)?.[1];
    const status = /^HTTP\/1\.1 (\d+)/.exec(read)?.[1];
    if (code !== undefined) return `${status} ${code}`;
    if (status === "200" && read.includes('"results"')) return "200";
  }
  return "closed";
}

interface Shot {
  readonly attack: Attack;
  readonly bytes: Buffer;
  readonly encoding: string;
  /** Keeps back the last byte. */
  readonly unfinished: boolean;
}

async function shoot({ attack, bytes, encoding, unfinished }: Shot): Promise<void> {
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  await Promise.race([once(socket, "connect"), once(socket, "close")]);
  attack.sent();
  socket.write(head(bytes.length, encoding));
  socket.write(unfinished ? bytes.subarray(0, -1) : bytes);
  const sentAtMs = performance.now();
  // A connection that nothing comes of holds what it holds until the attack is over.
  const over = sleep(Math.max(0, endsAtMs - performance.now()), "held", { ref: false });
  attack.answered(await Promise.race([answerOf(socket), over]), performance.now() - sentAtMs);
  socket.destroy();
}

async function loop(shot: Shot): Promise<void> {
  while (!isOver()) {
    await shoot(shot).catch(() => {});
    // Refused callers that come back at once would only measure who spins faster.
    await sleep(20);
  }
}

const bombs = new Attack("gzip bombs");
const held = new Attack("bombs that never end");
const paging = new Attack("pages");
const bombBytes = bomb();
const pageBytes = pages();
const gzip = "content-encoding: gzip\r\n";
const bombers = Number(bombersText);
await Promise.all([
  ...Array.from({ length: bombers }, (_, index) => {
    const unfinished = index % 2 === 0;
    const attack = unfinished ? held : bombs;
    return loop({ attack, bytes: bombBytes, encoding: gzip, unfinished });
  }),
  ...Array.from({ length: Number(pagersText) }, () =>
    loop({ attack: paging, bytes: pageBytes, encoding: "", unfinished: false }),
  ),
]);
process.send?.([bombs, held, paging].map((attack) => attack.report()));
process.disconnect();
