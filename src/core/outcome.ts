import type { IdempotencyError } from './errors.js';
import type { FailureVerdict, Remember } from './options.js';
import type { AbandonedRule, StoredRecord } from './record.js';

/** What a piece of work came to. The four outcomes of section "The run" in ARCHITECTURE.md. */
export type Outcome<T> =
  | { readonly kind: 'completed'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown; readonly final: boolean }
  /** Nobody can say whether the effect happened. */
  | { readonly kind: 'unknown'; readonly error: unknown }
  /** Certainly nothing happened: the claim is undone. */
  | { readonly kind: 'released'; readonly error: unknown };

/** How a duplicate is answered. Only `replay` looks at the recorded value. */
export type DuplicateAnswer = 'replay' | 'skip' | 'fail';

/** What the engine gives to a face. It throws nothing: every end of a run is a value. */
export type Answer<T> =
  /** This caller's own work ran. `recorded: false`: the store could not be told within its deadline (G7). */
  | { readonly kind: 'ran'; readonly outcome: Outcome<T>; readonly recorded: boolean }
  | { readonly kind: 'duplicate'; readonly how: DuplicateAnswer; readonly record: StoredRecord }
  | { readonly kind: 'refused'; readonly error: IdempotencyError }
  /** The caller's own signal was aborted: it stopped waiting. The work goes on. */
  | { readonly kind: 'left'; readonly reason: unknown };

/** The outcome of a failure on which a verdict was given. */
export function failureOutcome(verdict: FailureVerdict, error: unknown): Outcome<never> {
  switch (verdict) {
    case 'final':
      return { kind: 'failed', error, final: true };
    case 'retryable':
      return { kind: 'failed', error, final: false };
    case 'unknown':
      return { kind: 'unknown', error };
    case 'release':
      return { kind: 'released', error };
  }
}

/** The failure policy: what `remember` says, or else what the rule for abandoned records implies. */
export function judge<F>(remember: Remember<F>, failure: F, rule: AbandonedRule): FailureVerdict {
  const said = typeof remember === 'function' ? remember(failure) : remember === 'all';
  if (typeof said === 'string') return said;
  if (said) return 'final';
  return rule === 'retry' ? 'retryable' : 'unknown';
}
