/** What is asked: a model's task, and its inputs; and the same in the words of curl, the client and the command. */
import { shellQuoted, sourceOf } from "./quoting.js";

export type Asking =
  | {
      readonly task: "translate" | "embed" | "classify";
      readonly model: string;
      readonly texts: readonly string[];
    }
  | {
      readonly task: "rerank";
      readonly model: string;
      readonly query: string;
      readonly texts: readonly string[];
    }
  | {
      readonly task: "ocr" | "classify";
      readonly model: string;
      readonly picture: File;
    }
  | {
      readonly task: "infer";
      readonly model: string;
      readonly inputs: Readonly<Record<string, unknown>>;
    };

/** A picture goes as a form, as by curl: in JSON it would be a third larger. */
export function bodyOf(asking: Asking): object {
  const { task, model } = asking;
  if ("picture" in asking) return formOf(asking);
  if (task === "infer") return { model, inputs: asking.inputs };
  if (task === "rerank") return { model, query: asking.query, texts: asking.texts };
  return { model, texts: asking.texts };
}

function formOf({ model, picture }: Extract<Asking, { readonly picture: File }>): FormData {
  const form = new FormData();
  form.set("model", model);
  form.set("images", picture);
  return form;
}

export interface Snippets {
  readonly curl: string;
  readonly javascript: string;
  readonly command: string;
}

interface Where {
  /** Of the server, with what stands before its paths; no slash at the end. */
  readonly url: string;
  readonly hasKey: boolean;
}

export function snippetsOf(asking: Asking, where: Where): Snippets {
  return {
    curl: curlOf(asking, where),
    javascript: javascriptOf(asking, where),
    command: commandOf(asking, where),
  };
}

function curlOf(asking: Asking, { url, hasKey }: Where): string {
  const address = shellQuoted(`${url}/v1/${asking.task}`);
  const key = hasKey ? [`-H "Authorization: Bearer $MILLRACE_KEY"`] : [];
  const form =
    "picture" in asking
      ? [
          `-F ${shellQuoted(`model=${asking.model}`)}`,
          `-F ${shellQuoted(`images=@"${asking.picture.name.replaceAll(/[\\"]/g, "\\$&")}"`)}`,
        ]
      : [
          "-H 'Content-Type: application/json'",
          `-d ${shellQuoted(JSON.stringify(bodyOf(asking)))}`,
        ];
  return [`curl ${address}`, ...key, ...form].join(" \\\n  ");
}

function javascriptOf(asking: Asking, { url, hasKey }: Where): string {
  const { task, model } = asking;
  const key = hasKey ? ", { apiKey: process.env.MILLRACE_KEY }" : "";
  const isOfFile = "picture" in asking;
  const options = `{ model: ${sourceOf(model)} }`;
  const lines = [
    `import { Millrace } from "millrace-client";`,
    ...(isOfFile ? [`import { readFile } from "node:fs/promises";`] : []),
    "",
    `const client = new Millrace(${sourceOf(url)}${key});`,
  ];
  if (task === "infer")
    return [
      ...lines.filter(
        (line) => !line.includes("millrace-client") && !line.startsWith("const client"),
      ),
      `const reply = await fetch(${sourceOf(`${url}/v1/infer`)}, {`,
      `  method: "POST",`,
      `  headers: { "content-type": "application/json"${hasKey ? `, authorization: \`Bearer \${process.env.MILLRACE_KEY}\`` : ""} },`,
      `  body: JSON.stringify(${sourceOf(bodyOf(asking))}),`,
      `});`,
      `console.dir(await reply.json(), { depth: null });`,
    ]
      .join("\n")
      .trimStart();
  const call =
    task === "rerank"
      ? `client.rerank(${sourceOf(asking.query)}, ${sourceOf(asking.texts)}, ${options})`
      : "picture" in asking
        ? `client.${task}(await readFile(${sourceOf(asking.picture.name)}), ${options})`
        : `client.${task}(${sourceOf(asking.texts)}, ${options})`;
  return [
    ...lines,
    `const { results, timings } = await ${call};`,
    "console.dir({ results, timings }, { depth: null });",
  ].join("\n");
}

function commandOf(asking: Asking, { url, hasKey }: Where): string {
  const { task, model } = asking;
  const flags = `--url ${shellQuoted(url)} --model ${shellQuoted(model)}`;
  const key = hasKey ? "# the key is in MILLRACE_KEY\n" : "";
  if (task === "infer") return `${key}# The command has no word for tensors: see curl.`;
  if ("picture" in asking)
    return `${key}millrace ${task} ${flags} -- ${shellQuoted(asking.picture.name)}`;
  if (task === "translate")
    return `${key}millrace translate ${flags} -- ${asking.texts.map(shellQuoted).join(" ")}`;
  const lines = `printf '%s\\n' ${asking.texts.map((text) => shellQuoted(text.replaceAll("\n", " "))).join(" ")}`;
  const query = task === "rerank" ? `${shellQuoted(asking.query)} ` : "";
  return `${key}${lines} |\n  millrace ${task} ${flags} -- ${query}-`;
}
