/** A promise, with what settles it beside it: `Promise.withResolvers`, which Node has from 22 on. */
export interface Resolvers<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value | PromiseLike<Value>) => void;
  readonly reject: (reason: unknown) => void;
}

export function withResolvers<Value = void>(): Resolvers<Value> {
  let resolve: Resolvers<Value>["resolve"] = () => {};
  let reject: Resolvers<Value>["reject"] = () => {};
  // The function that is given runs before the constructor returns.
  const promise = new Promise<Value>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
