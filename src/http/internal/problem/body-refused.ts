import type { ProblemCode } from './problem.js';

/** A body can't be compared because of what the client sent. It becomes a 4xx, never a 5xx. */
export class BodyRefused extends Error {
  override readonly name = 'BodyRefused';

  /** @param message for the app's developers; the client gets the text of the problem */
  constructor(
    readonly problem: Extract<ProblemCode, 'PAYLOAD_TOO_LARGE' | `IDEMPOTENCY_BODY_${string}`>,
    message: string,
    readonly detail?: string,
  ) {
    super(message);
  }
}
