/** Token ids that make the fake runtime misbehave when it runs an item that holds them. */
export const magic = {
  /** Exits with code 3. */
  crash: 900_001,
  /** Ends by SIGSEGV. */
  segfault: 900_002,
  /** Exits with code 0, mid-batch. */
  exitZero: 900_003,
  /** Blocks the main thread for ever. */
  busyLoop: 900_004,
  /** Stops itself as SIGSTOP from outside would. */
  sigstop: 900_005,
  garbageBytes: 900_006,
  duplicateResult: 900_007,
  unknownResult: 900_008,
  /** Announces the run and goes silent without using the processor. */
  silent: 900_009,
  /** Is held until the file `release` lies in the model folder. */
  hold: 900_010,
  /** A result of its own says that the item failed. */
  itemFailed: 900_011,
  /** Goes silent without having announced a run. */
  unannounced: 900_012,
  /** Ends by SIGKILL, as the kernel's out-of-memory killer would have it. */
  outOfMemory: 900_013,
  /** Answers, with a value that no task can use: the same number of the kind. */
  badValue: 900_014,
  /** Announces runs without end. */
  talkative: 900_015,
  /** Announces a run of more items than there are. */
  manyBegun: 900_016,
} as const;
