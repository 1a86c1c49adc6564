/** What went wrong between us and NATS, whoever asked for what. */
import { errors } from "@nats-io/transport-node";

/** Nobody answered, in time or at all: it may have been done nevertheless, and it may work again. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof errors.TimeoutError || error instanceof errors.NoRespondersError) {
    return true;
  }
  if (error instanceof errors.ClosedConnectionError) return true;
  if (error instanceof errors.DrainingConnectionError) return true;
  if (error instanceof errors.ConnectionError) return true;
  if (error instanceof errors.RequestError) return true;
  return error instanceof Error && error.cause !== undefined && isUnanswered(error.cause);
}
