import { show } from './check.js';
import type { IdempotencyError } from './errors.js';
import type { FailureVerdict, Remember } from './options.js';
import type { AbandonedRule, StoredRecord } from './record.js';

/** What a piece of work came to: it is completed, failed, unknown or released. */
export type Outcome<T> =
  | {
      readonly kind: 'completed';
      readonly value: T;
      /** How long it is kept, where that is not the ttl. */
      readonly retentionMs?: number | undefined;
      /** As of a failure: HTTP asks `remember` about every answer. */
      readonly fault?: unknown;
    }
  | Failure;

type Failure = {
  readonly error: unknown;
  /** What `remember` threw, or that its answer means nothing: somebody should hear of it. */
  readonly fault?: unknown;
} & (
  | {
      readonly kind: 'failed';
      readonly final: boolean;
      /** Known to have had no effect, since somebody said so. Only then may the next attempt derive new keys. */
      readonly definite?: boolean;
    }
  /** Nobody can say whether the effect happened. */
  | { readonly kind: 'unknown' }
  /** Certainly nothing happened: the claim is undone. */
  | { readonly kind: 'released' }
);

/** How a duplicate is answered. Only `replay` looks at the recorded value. */
export type DuplicateAnswer = 'replay' | 'skip' | 'fail';

/** What the engine answers to an adapter. The engine throws nothing: every end of a run is a value. */
export type Answer<T> =
  /** This caller's own attempt ran. */
  | {
      readonly kind: 'ran';
      /** Whose outcome it is: the work's, or that of the function that asked what became of an abandoned attempt. */
      readonly by: 'work' | 'reconcile';
      /** The number of the attempt: 1 for the first one of the key. */
      readonly attempt: number;
      /** Whether it took over from an attempt that was abandoned. */
      readonly tookOver: boolean;
      readonly outcome: Outcome<T>;
      /** `false`: the store could not be told within its deadline (G7). */
      readonly recorded: boolean;
    }
  | {
      readonly kind: 'duplicate';
      readonly how: DuplicateAnswer;
      readonly record: StoredRecord;
      /** This caller's own attempt ran and lost its lease: the record is what counts instead. */
      readonly lost?: true;
    }
  /** `lost`: as above, and no outcome is to be had. */
  | {
      readonly kind: 'refused';
      readonly error: IdempotencyError;
      readonly lost?: true;
      /** What the refusal is about, as the caller last saw it; undefined where it saw none. */
      readonly record?: StoredRecord | undefined;
    }
  /** The caller's own signal was aborted: it stopped waiting. The work goes on. */
  | { readonly kind: 'left'; readonly reason: unknown };

/** The outcome of a failure on which a verdict was given. */
export function failureOutcome(verdict: FailureVerdict, error: unknown): Failure {
  switch (verdict) {
    case 'final':
      return { kind: 'failed', error, final: true };
    case 'retryable':
      return { kind: 'failed', error, final: false, definite: true };
    case 'release':
      return { kind: 'released', error };
    default:
      // 'unknown', and whatever plain JavaScript says in its place: then nobody can say.
      return { kind: 'unknown', error };
  }
}

/**
 * The failure policy: what `remember` says of a failure, or else what the rule for abandoned records implies. A
 * predicate that throws, or whose answer means nothing, counts as `false`, and never hides the failure.
 * @param error what is recorded of the failure
 */
export function judge<F>(
  remember: Remember<F>,
  failure: F,
  rule: AbandonedRule,
  error: unknown = failure,
): Outcome<never> {
  const { said, fault } =
    typeof remember === 'function' ? ask(remember, failure) : { said: remember === 'all', fault: undefined };
  const outcome = judged(said, error, rule);
  return fault === undefined ? outcome : { ...outcome, fault };
}

/** The outcome of a failure after what was said of it. */
export function judged(said: Said['said'], error: unknown, rule: AbandonedRule): Failure {
  if (typeof said === 'string') return failureOutcome(said, error);
  return said ? failureOutcome('final', error) : unjudgedFailure(rule, error);
}

/**
 * The outcome of a failure that nobody gave a verdict on. Under `retry` the next call runs again, but the failure is not
 * definite: a broken connection or a timeout hides whether the effect happened, so derived keys must stay as they are.
 */
function unjudgedFailure(rule: AbandonedRule, error: unknown): Failure {
  return rule === 'retry' ? { kind: 'failed', error, final: false } : { kind: 'unknown', error };
}

/** What `remember` said: nothing leaves it to the default. */
export interface Said {
  readonly said: boolean | FailureVerdict | undefined;
  readonly fault?: unknown;
}

function ask<F>(remember: (failure: F) => unknown, failure: F): Said {
  try {
    return heard(remember(failure));
  } catch (error) {
    return unheard(error);
  }
}

/** Asks a function that may take its time. */
export async function askLater(remember: () => unknown): Promise<Said> {
  try {
    return heard(await remember());
  } catch (error) {
    return unheard(error);
  }
}

const unheard = (error: unknown): Said => ({
  said: undefined,
  fault: error ?? new TypeError(`remember threw ${show(error)}`),
});

/** What `remember` answered, if it means something. */
function heard(said: unknown): Said {
  if (said === undefined || said === null) return { said: undefined };
  if (typeof said === 'boolean' || isVerdict(said)) return { said };
  // An async function: should it reject, nobody else would hear of it.
  if (said instanceof Promise) said.catch(() => undefined);
  return { said: undefined, fault: new TypeError(`remember answered ${show(said)}: ${ANSWERS}`) };
}

const VERDICTS: readonly unknown[] = ['final', 'retryable', 'unknown', 'release'] satisfies FailureVerdict[];
const ANSWERS = `it answers true, false, or one of ${VERDICTS.map((verdict) => `"${String(verdict)}"`).join(', ')}`;

const isVerdict = (value: unknown): value is FailureVerdict => VERDICTS.includes(value);
