/**
 * Who knows a task by its name: its folders, its wire types, a line in each table; nothing else. Whoever needs another
 * file here has found a place where the seam leaks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tasks } from "#src/tasks/table.js";
import { codeOf, readSources } from "./imports.js";

/** For each task: how it is spelled in code, and the files that may spell it so. */
const knowing: Readonly<
  Record<string, { readonly spelled: RegExp; readonly files: readonly string[] }>
> = {
  infer: {
    spelled: /(?<!\bz\.)\binfer\b(?! [A-Z])|\bInfer[A-Z]|(?<!embeddings-)\binference\b(?!-v2)/,
    files: [
      // The client's methods and the commands.
      "client/src/infer.ts",
      "client/src/index.ts",
      "client/src/millrace.ts",
      "src/tasks/tensors/",
      "src/tasks/table.ts",
      // A graph that nobody says more of is for this.
      "src/models/programs/complete-tensors.ts",
      // The protocols have the same word, one in the name of a header.
      "src/front/inference-v2/",
      "src/front/tei/replies.ts",
      "client/src/wire/infer.ts",
      "client/src/wire/index.ts",
    ],
  },
  translate: {
    spelled: /translat/i,
    files: [
      // A protocol asks a model for what it is for.
      "src/front/huggingface/",
      // Its folders.
      "src/tasks/translation/",
      "src/cli/translate.ts",
      // Examples, and the way of `translate --durable`.
      "src/cli/jobs.ts",
      "src/cli/jobs/",
      // The protocol is for nothing else.
      "src/front/ectransformer/",
      "client/src/translate.ts",
      // Its wire types, and where they are exported.
      "client/src/wire/translate.ts",
      "client/src/wire/index.ts",
      "client/src/index.ts",
      "src/index.ts",
      // A line in each table: tasks, methods of the client, commands and their examples.
      "src/tasks/table.ts",
      "client/src/millrace.ts",
      "src/cli/commands.ts",
      "src/cli/program.ts",
      // What makes its models.
      "src/convert/marian/family.ts",
      "src/cli/convert.ts",
      // The first plan's clients name no task: they mean this one.
      "src/front/streams/pair.ts",
      // The protocol is for this task.
      "src/front/deepl/",
    ],
  },
  embed: {
    // The embeddings of a model, and an embedded server, are something else.
    spelled: /\bembed\b|[eE]mbed[A-Z]|embedding\/embedding/,
    files: [
      // The client's methods and the commands.
      "client/src/embed.ts",
      "client/src/index.ts",
      "client/src/millrace.ts",
      "src/cli/embed.ts",
      "src/cli/commands.ts",
      "src/cli/program.ts",
      "src/convert/marian/family.ts",
      // What bert-as-service calls an option of its own.
      "src/options/bert-options.ts",
      "src/front/bert-as-service/",
      "src/tasks/embedding/",
      // Protocols have the same verbs, or ask a model for what it is for.
      "src/front/tei/",
      "src/front/huggingface/answers.ts",
      "client/src/wire/embed.ts",
      "client/src/wire/index.ts",
      "src/tasks/table.ts",
      // What makes its models.
      "src/convert/encoder/",
      // The protocol is for this task.
      "src/front/openai/embeddings.ts",
    ],
  },
  classify: {
    spelled: /classif/i,
    files: [
      // A protocol asks a model for what it is for.
      "src/front/tei/",
      "src/front/huggingface/answers.ts",
      // A parameter of that protocol has the word.
      "src/front/inference-v2/infer-request.ts",
      // The client's methods and the commands.
      "client/src/classify.ts",
      "client/src/index.ts",
      "client/src/millrace.ts",
      "src/cli/classify.ts",
      "src/cli/commands.ts",
      "src/cli/program.ts",
      "src/tasks/classification/",
      "client/src/wire/classify.ts",
      "client/src/wire/index.ts",
      // They ask about the same pairs of texts.
      "client/src/wire/embed.ts",
      "client/src/wire/rerank.ts",
      "src/tasks/table.ts",
      "src/convert/encoder/",
      // The program of its models that take pictures.
      "src/models/manifest-staged.ts",
      "src/models/programs/complete-data-files.ts",
      "src/models/programs/manifest-image-classifier.ts",
      "src/runtime/staged/programs.ts",
      "src/runtime/staged/programs/image-classifier.ts",
    ],
  },
  ocr: {
    spelled: /ocr/i,
    files: [
      // A protocol asks a model for what it is for.
      "src/front/huggingface/answers.ts",
      // The client's methods and the commands.
      "client/src/ocr.ts",
      "client/src/index.ts",
      "client/src/millrace.ts",
      "src/cli/ocr.ts",
      "src/cli/commands.ts",
      "src/cli/program.ts",
      "src/tasks/ocr/",
      "client/src/wire/ocr.ts",
      "client/src/wire/index.ts",
      "src/tasks/table.ts",
      "src/work/text-lines.ts",
      // The program of its models, and what makes them.
      "src/models/manifest-staged.ts",
      "src/models/programs/manifest-ocr.ts",
      "src/runtime/staged/programs.ts",
      "src/runtime/staged/programs/ocr.ts",
      "src/runtime/staged/ocr/",
      "src/convert/ocr/",
      "src/cli/convert-ocr.ts",
      "src/cli/convert.ts",
    ],
  },
  tokenize: {
    spelled: /"tokenize"|[tT]okeni[zs]ing\b|tokenization\/|Tokenize[A-Z]/,
    files: [
      "src/tasks/tokenization/",
      "src/tasks/table.ts",
      "client/src/wire/",
      // Its protocol has the same verbs.
      "src/front/tei/",
    ],
  },
  detokenize: {
    spelled: /detoken/i,
    files: [
      // Its protocol has the same verbs.
      "src/front/tei/",
      "src/tasks/tokenization/",
      "src/tasks/table.ts",
      "client/src/wire/",
      // What both do, without the task.
      "src/prepare/text/token-texts.ts",
    ],
  },
  rerank: {
    spelled: /rerank/i,
    files: [
      // The client's methods and the commands.
      // Protocols have the same verb.
      "src/front/tei/",
      "src/front/huggingface/answers.ts",
      "client/src/rerank.ts",
      "client/src/index.ts",
      "client/src/millrace.ts",
      "src/cli/rerank.ts",
      "src/cli/commands.ts",
      "src/cli/program.ts",
      "src/tasks/reranking/",
      "client/src/wire/rerank.ts",
      "client/src/wire/index.ts",
      "src/tasks/table.ts",
      "src/convert/encoder/",
      "src/cli/convert.ts",
    ],
  },
};

test("every task of the table has its list", () => {
  assert.deepEqual([...tasks.keys()].toSorted(), Object.keys(knowing).toSorted());
});

for (const [task, { spelled, files }] of Object.entries(knowing)) {
  test(`only these files know ${task}`, () => {
    const found = readSources("src", "client/src")
      .filter(({ text }) => spelled.test(codeOf(text)))
      .map(({ path }) => files.find((file) => path === file || path.startsWith(file)) ?? path);
    assert.deepEqual([...new Set(found)].toSorted(), files.toSorted());
  });
}
