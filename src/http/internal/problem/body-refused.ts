import type { ProblemCode } from './problem.js';

/** A body that a client alone brought about and that can't be compared. It becomes a 4xx, never a 5xx. */
export class BodyRefused extends Error {
  override readonly name = 'BodyRefused';

  /** @param message for whoever wrote the app; the client is told what the problem's table says */
  constructor(
    readonly problem: Extract<ProblemCode, 'PAYLOAD_TOO_LARGE' | `IDEMPOTENCY_BODY_${string}`>,
    message: string,
    readonly detail?: string,
  ) {
    super(message);
  }
}
