/** Findings for people. */
import { styleText } from "node:util";
import type { Finding } from "millrace-client";
import { type Account, accountText } from "../../doctor/account.js";
import type { DoctorWindow } from "../../doctor/window.js";
import { withoutControls } from "../without-controls.js";

export interface Diagnosis {
  readonly window: DoctorWindow;
  readonly findings: readonly Finding[];
  readonly account: Account;
}

export function doctorText({ window, findings, account }: Diagnosis, coloured: boolean): string {
  const { deployment, state, machine } = window.after.status;
  const paint = (format: Parameters<typeof styleText>[0], text: string): string =>
    coloured ? styleText(format, withoutControls(text)) : withoutControls(text);
  const head = withoutControls(
    `${deployment.name} ${deployment.version} · ${deployment.node} · ${state}`,
  );
  const told = findings.flatMap((finding, at) => [
    "",
    `${at + 1}. ${paint(finding.severity === "problem" ? "red" : "yellow", finding.severity)} ${paint("bold", finding.title)}  [${finding.code}]`,
    ...finding.evidence.map((line) => `     ${withoutControls(line)}`),
    `   ${paint("bold", "change")}  ${withoutControls(finding.change)}`,
    `   ${paint("bold", "expect")}  ${withoutControls(finding.expect)}`,
  ]);
  const healthy = ["", paint("green", "Healthy: nothing that was looked for is wrong.")];
  const lacks = machine?.lacks ?? [];
  const unseen = [
    "",
    "Its system does not tell or do:",
    ...lacks.map((lack) => `   ${withoutControls(lack)}`),
  ];
  return [
    head,
    accountText(account),
    ...(findings.length === 0 ? healthy : told),
    ...(lacks.length === 0 ? [] : unseen),
    "",
  ].join("\n");
}
