/**
 * `npm run bench -- page`: what open pages cost, on both sides. The server's side is the real feed over a real listener, on the status of a
 * real server, with readers in a process of their own; looks come fifty times as often as they do, so that what they cost stands out of
 * the noise. The browser's side is a real Chromium, where there is one.
 */
import { parseArgs } from "node:util";
import { skipWithoutBrowser } from "../../test/support/browser.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, countOf, countsOf, usual } from "../harness/flags.js";
import { benchBrowser } from "./browser-side.js";
import { benchServer } from "./server-side.js";

const usage = `npm run bench -- page [flags]
What open pages cost: processor time of the server for each look that is written, of the browser for each that is drawn, and how soon a
killed worker is seen.
  --readers LIST   pages that look on (default: 1,10,100)
  --seconds S      of each measurement (default: 2)
  --rounds N       in which the numbers of readers take turns (default: 5)
  --kills N        workers that are killed while a browser looks on (default: 5)
  --json FILE      the figures as JSON`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      readers: { type: "string", default: "1,10,100" },
      seconds: { type: "string", default: "2" },
      rounds: usual.rounds,
      kills: { type: "string", default: "5" },
      json: usual.json,
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const readers = countsOf("readers", values.readers);
  const seconds = amountOf("seconds", values.seconds);
  const rounds = countOf("rounds", values.rounds);
  const kills = countOf("kills", values.kills, 0);
  const { report, machine } = beginReport("page");
  await benchServer(report, { readers, seconds, rounds });
  if (skipWithoutBrowser === false) await benchBrowser(report, { seconds, kills });
  else report.say(`the browser's side is left out: ${skipWithoutBrowser}`);
  await finish(report, {
    machine,
    facts: { readers, seconds, rounds, kills },
    jsonFile: values.json,
  });
}
