import { askLater, failureOutcome, unclearVerdict, verdictOf, type Outcome } from '../../core/outcome.js';
import type { FailureVerdict } from '../../core/options.js';
import type { AbandonedRule } from '../../core/record.js';
import type { Handled, SavedAnswer } from './answer.js';
import type { RememberAnswer } from './options.js';

/** Answers that say "not now", or "not with these credentials": they are no outcome of the operation. */
const NOT_NOW: readonly number[] = [401, 407, 408, 409, 425, 429];
/** What stands for the status of an error that the framework has not answered yet. */
const THROWN_STATUS = 500;

/** What is recorded of what a handler came to. */
export async function outcomeOf(
  handled: Handled,
  remember: RememberAnswer | undefined,
  rule: AbandonedRule,
): Promise<Outcome<SavedAnswer>> {
  if ('unclear' in handled) return failureOutcome('unknown', handled.unclear);
  const answer = 'answer' in handled ? handled.answer : undefined;
  const status = answer?.status ?? THROWN_STATUS;
  const { said, fault } = remember ? await askLater(() => remember(status, handled)) : NOTHING;
  const verdict = said === undefined ? byDefault(status, rule) : verdictOf(said, afterRefusal(status, rule));
  const outcome: Outcome<SavedAnswer> =
    answer && verdict === 'final'
      ? { kind: 'completed', value: answer }
      : failureOutcome(verdict, answer ?? (handled as { error: unknown }).error);
  return fault === undefined ? outcome : { ...outcome, fault };
}

const NOTHING = { said: undefined, fault: undefined };

/** `remember` answered false: the next request runs. */
const afterRefusal = (status: number, rule: AbandonedRule): FailureVerdict =>
  status < 500 ? 'retryable' : unclearVerdict(rule);

const byDefault = (status: number, rule: AbandonedRule): FailureVerdict =>
  status < 500 && !NOT_NOW.includes(status) ? 'final' : afterRefusal(status, rule);
