/** What the command exits with, for scripts. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  itemsFailed: 3,
  unreachable: 4,
  interrupted: 130,
} as const;
