import { show } from '../../core/check.js';
import type { FailureVerdict } from '../../core/options.js';
import { failureOutcome, isVerdict, type Outcome } from '../../core/outcome.js';
import type { Handled, SavedAnswer } from './answer.js';
import type { HttpSettings } from './options.js';

/** Answers that say "not now": they are no outcome of the operation. */
const NOT_NOW: readonly number[] = [408, 409, 425, 429];

type Settings = Pick<HttpSettings<never>, 'rule' | 'warn'> & {
  readonly given: Pick<HttpSettings<never>['given'], 'remember'>;
};

/** What is recorded of what a handler came to. */
export function outcomeOf(handled: Handled, settings: Settings): Outcome<SavedAnswer> {
  // Nobody can say what an error left behind: where that matters, the rule says so.
  const unclear = settings.rule === 'retry' ? 'retryable' : 'unknown';
  if ('unclear' in handled) return failureOutcome('unknown', handled.unclear);
  if ('error' in handled) return failureOutcome(unclear, handled.error);
  const { answer } = handled;
  const said = isRemembered(answer.status, settings);
  if (said === true || said === 'final') return { kind: 'completed', value: answer };
  if (said !== false) return failureOutcome(said, answer);
  return failureOutcome(answer.status < 500 ? 'retryable' : unclear, answer);
}

/** A predicate that throws, or whose answer means nothing, leaves it to the default: it must not undo a charge. */
function isRemembered(status: number, { given, warn }: Settings): boolean | FailureVerdict {
  const byDefault = status < 500 && !NOT_NOW.includes(status);
  let said: unknown;
  try {
    said = given.remember?.(status);
  } catch (error) {
    warn(`remember(${status}) threw ${show(error)}: it counts as if it had said nothing`, { error });
  }
  if (typeof said === 'boolean' || isVerdict(said)) return said;
  if (said !== undefined)
    warn(`remember(${status}) answered ${show(said)}, which is no verdict and counts as nothing`);
  return byDefault;
}
