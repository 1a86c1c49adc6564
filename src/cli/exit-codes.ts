/** What the command's exit status means, for scripts. The only place where a number is given to it. */
export const exitCodes = {
  /** Everything was done. */
  ok: 0,
  /** A bug, or an error that has no code of its own here. */
  failed: 1,
  /** A flag, variable, file or argument is wrong (`option_invalid`); nothing was started. */
  usage: 2,
  /** The server could not start: the port is taken, or no model or pipeline came up. */
  notStarted: 3,
  /** The server stopped, but work was cut off when `drainMs` was over. */
  drainCutOff: 4,
  /** The server could not be reached, or answered what is no reply of Millrace. */
  unreachable: 5,
  /** Some items failed; the others were done. */
  itemsFailed: 6,
  /** Another deployment answered than the one that was expected. */
  wrongDeployment: 7,
  /** A second SIGINT or SIGTERM ended the server at once. */
  interrupted: 130,
} as const;
