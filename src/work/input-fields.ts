/** The fields of a task's request that hold a list of its inputs, over all tasks; what else there is are settings, or tensors. */
export const inputFields: readonly string[] = ["texts", "tokenIds", "tokens", "images"];
