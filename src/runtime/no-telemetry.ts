/**
 * ONNX Runtime's official builds (from 1.29 on, other systems than Windows as well) tell their maker of every session: names
 * and hashes of models, times, errors. A server that holds a company's models tells nobody. This is read once, when the
 * runtime starts, so it must be said before the runtime is loaded; whoever says otherwise in the environment is heard.
 */
import { env } from "node:process";

env["ORT_DISABLE_TELEMETRY"] ??= "1";
