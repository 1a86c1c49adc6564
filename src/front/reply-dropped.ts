import { MillraceError } from "millrace-client/wire";

/** Goes out instead of a reply that a listener could not keep until it is read. */
export const replyDropped: MillraceError = new MillraceError(
  "queue_full",
  "replies waited too long for their reader or were too many bytes: this one was dropped (--zmq-topic-bytes-max, --reply-timeout-ms)",
);
