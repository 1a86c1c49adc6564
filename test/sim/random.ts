export { Random } from "#src/simulation/random.js";
