/** `millrace nodes`: the servers of a deployment, as the one that is asked has heard of them. */
import type { Command } from "commander";
import { Millrace, MillraceError, type NodeStatus, type NodesResponse } from "millrace-client";
import { exitCodes } from "./exit-codes.js";
import { print } from "./print.js";
import { addServerFlags, keyOf, runRemote, type ServerFlags } from "./remote.js";
import { textTable } from "./status.js";
import { withoutControls } from "./without-controls.js";

interface Flags extends ServerFlags {
  readonly json?: boolean;
}

const examples = `
Examples:
  $ millrace nodes
  $ millrace nodes --json | jq '.nodes[] | select(.draining)'
`;

export function registerNodes(program: Command): void {
  const command = program
    .command("nodes")
    .summary("show the servers of a deployment, and what each has")
    .description("Show the servers of a deployment (--nats), and what each said last.");
  addServerFlags(command)
    .option("--json", "as JSON, one line")
    .addHelpText("after", examples)
    .action((flags: Flags) => runRemote((signal) => show(flags, signal)));
}

/** Answered from memory. */
const silenceMsMax = 10_000;

async function show(flags: Flags, signal: AbortSignal): Promise<number> {
  const retry = { attemptsMax: 1 };
  await using client = new Millrace(flags.url, { retry, silenceMsMax, ...keyOf(flags) });
  const found = await client.nodes({ signal }).catch(tellOfNats);
  print(flags, found, view);
  return found.nats === "connected" ? exitCodes.ok : exitCodes.unreachable;
}

/** The route is missing where a server is for itself, and where operators have a port of their own. */
function tellOfNats(error: unknown): never {
  if (!(error instanceof MillraceError && error.code === "not_found")) throw error;
  const message =
    "this address tells of no nodes: the server is for itself (no --nats), or has them at its --admin-port";
  throw new MillraceError("not_found", message, { cause: error });
}

function view({ nats, nodes, deployment }: NodesResponse): string {
  const head = ["node", "role", "state", "heard", "pipelines", "realtime", "bulk", "models"];
  return [
    withoutControls(
      `${deployment.name} ${deployment.version} · ${deployment.environment} · asked ${deployment.node} · NATS ${nats}`,
    ),
    "",
    ...textTable(head, nodes.map(rowOf)),
    ...(nodes.length === 0 ? ["no node is heard of", ""] : []),
  ].join("\n");
}

function rowOf(node: NodeStatus): string[] {
  const models = node.models.map(({ model, ready, state }) =>
    ready ? model : `${model} (${state})`,
  );
  return [
    node.node,
    node.role,
    node.draining ? "draining" : node.state,
    `${(node.ageMs / 1_000).toFixed(1)} s ago`,
    String(node.pipelines),
    `${node.waitMs.realtime} ms`,
    `${node.waitMs.bulk} ms`,
    models.length === 0 ? "–" : models.join(" "),
  ];
}
