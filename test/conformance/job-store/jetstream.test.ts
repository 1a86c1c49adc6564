/** The store in NATS, held to the list of all stores. */
import type { TestContext } from "node:test";
import { type LinkedStore, openLinkedStore } from "../../support/jetstream-store.js";
import { NatsServer, skipWithoutNats } from "../../support/nats-server.js";
import { type StorePlace, storeCases } from "./store-cases.js";

async function jetStreamPlace(context: TestContext): Promise<StorePlace> {
  const nats = await NatsServer.start();
  const opened: LinkedStore[] = [];
  context.after(async () => {
    for (const each of opened) await each[Symbol.asyncDispose]();
    await nats[Symbol.asyncDispose]();
  });
  const open: StorePlace["open"] = async (bytesMax) => {
    const linked = await openLinkedStore(nats.url, { bytesMax });
    opened.push(linked);
    return linked.store;
  };
  return {
    open,
    crashed: async (store, bytesMax) => {
      // A process that was killed says nothing more; and NATS may be killed at the same time.
      const dead = opened.find((each) => each.store === store);
      await dead?.link.close();
      await nats.kill();
      await nats.start();
      return await open(bytesMax);
    },
  };
}

if (skipWithoutNats === false) storeCases("jetstream", jetStreamPlace);
