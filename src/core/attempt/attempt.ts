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
   * A key for a downstream API. It stays the same after crashes, unknown outcomes and errors, since a request that
   * timed out may have been executed. It is new after a failure that `remember` calls `'retryable'`: that one is known
   * to have had no effect, and providers replay the failures that they stored.
   */
  readonly deriveKey: (name: string) => string;
  /**
   * A recovery point. Runs `work` and records its result under the lease; a later attempt of the same key, also in
   * another process after a crash, gets the recorded result back instead of running it. A step that throws records
   * nothing. Steps may run in parallel, each under a name of its own. Work that runs unprotected records none.
   * @throws OutcomeError LEASE_LOST when the lease is lost, before `work` or after it
   * @throws OutcomeError RESULT_UNAVAILABLE when an earlier attempt did the step, and its result could not be kept
   * @throws UsageError INVALID_OPTIONS for a name that this attempt has used already
   */
  readonly step: <T>(name: string, work: () => T | Promise<T>) => Promise<T>;
}
