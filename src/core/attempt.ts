import type { OutcomeError } from './errors.js';
import type { Lease } from './record.js';

/** What the work is told about the attempt that it is. */
export interface Attempt {
  /** The idempotency key, as the caller gave it. */
  readonly key: string;
  /**
   * The fencing token (G5): pass it to your own database, which then refuses writes with a lower one. Undefined
   * for work that runs unprotected because the store was down.
   */
  readonly fence: number | undefined;
  /** 1 for the first attempt of the key. */
  readonly attempt: number;
  /** Aborted when the lease is lost: whatever this work still does, another attempt may do too. */
  readonly signal: AbortSignal;
  /**
   * A key for a downstream API: stable across crashes and unknown outcomes, new after a definite failure, since
   * providers replay the failures that they stored.
   */
  deriveKey(name: string): string;
}

/** The attempt as the engine keeps it. */
export class RunningAttempt implements Attempt {
  lost: OutcomeError | undefined;
  #controller: AbortController | undefined;

  constructor(
    readonly key: string,
    public lease: Lease,
    private readonly derive: (failures: number, name: string) => string,
  ) {}

  get fence(): number | undefined {
    return this.lease.fence === 0 ? undefined : this.lease.fence;
  }

  get attempt(): number {
    return this.lease.attempt;
  }

  // Made when first asked for: most work never looks, and a controller costs more than the rest of the attempt.
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.lost) this.#controller.abort(this.lost);
    }
    return this.#controller.signal;
  }

  deriveKey(name: string): string {
    return this.derive(this.lease.failures, name);
  }

  lose(error: OutcomeError): void {
    this.lost = error;
    this.#controller?.abort(error);
  }
}
