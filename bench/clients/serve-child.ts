/** A child of the benchmark: a whole server of the options that it is given as JSON; prints its address. */
import { type CreateServerOptions, createServer } from "#src/index.js";

const server = await createServer(JSON.parse(process.argv[2] ?? "{}") as CreateServerOptions);
process.once("SIGTERM", () => {
  server.close().then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
console.log(server.url);
