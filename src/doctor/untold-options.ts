/** What a server is set to where its status does not say; a test holds them to where they come from. */

/** Rows that a pipeline runs at once of most models, without `--rows-max`. */
export const untoldRowsMax = 64;
/** `--realtime-target-ms`. */
export const untoldRealtimeTargetMs = 200;
