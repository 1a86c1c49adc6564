/** The double that tests of the runner stand on, held to the list as well: a store that is kinder than the real ones would hide what they find. */
import { MemoryJobStore } from "../../support/memory-job-store.js";
import { storeCases } from "./store-cases.js";

storeCases("memory", () => {
  const store = new MemoryJobStore();
  return Promise.resolve({
    open: (bytesMax) => {
      store.bytesMax = bytesMax;
      return Promise.resolve(store);
    },
    crashed: () => Promise.resolve(store),
  });
});
