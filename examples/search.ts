/**
 * Semantic search: the sentences of a file that mean what a query means, with a running server.
 *
 *     node build/examples/search.js "A dog is sleeping." [FILE]
 *
 * The bundled model has seen few words and was trained for something else: use a model that was made for this
 * (docs/encoders.md), and name it in `embed` where several are served.
 */
import { readFileSync } from "node:fs";
import { Millrace, MillraceError } from "millrace-client";

const [query = "Some people are having a drink.", file = "examples/sentences.en.txt"] =
  process.argv.slice(2);
const sentences = readFileSync(file, "utf8").split("\n").filter(Boolean);

await using client = new Millrace(process.env["MILLRACE_URL"] ?? "http://127.0.0.1:8400");

// Vectors of length 1, so that the cosine of two is the sum of their products. In a program of your own the
// sentences' vectors are made once and kept.
const { results } = await client.embed([query, ...sentences], { normalize: true });
const [wanted, ...vectors] = results.map((result) => {
  if ("embedding" in result) return result.embedding;
  throw new MillraceError(result.error.code, result.error.message);
});

const scored = sentences.map((sentence, index) => ({
  sentence,
  score: wanted?.reduce((sum, value, at) => sum + value * (vectors[index]?.[at] ?? 0), 0) ?? 0,
}));
for (const { sentence, score } of scored.toSorted((a, b) => b.score - a.score).slice(0, 5)) {
  console.log(score.toFixed(3), sentence);
}
