/** The usual way to serve a model from Node, as the documentation of both packages has it: the model in the process of the web server. */
export const peerApp = `import Fastify from "fastify";
import { env, pipeline } from "@huggingface/transformers";

const [models, name, dtype] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = models;

const extractor = await pipeline("feature-extraction", name, { dtype });
const app = Fastify();

app.post("/embed", async (request) => {
  const output = await extractor(request.body.text, { pooling: "mean", normalize: false });
  return { embedding: output.tolist()[0] };
});

app.get("/health", async () => ({ ok: true }));

console.log(await app.listen({ host: "127.0.0.1", port: 0 }));
`;

export const peerPackages: Readonly<Record<string, string>> = {
  "@huggingface/transformers": "4.3.1",
  fastify: "5",
};
