/** When a server says what it has. */
import { beatMs } from "./beats.js";

export const entryMs: number = beatMs;
/** After a change: they come in crowds, a load is several. */
export const changeMs = 50;
