import { askLater, failureOutcome, judged, type Outcome } from '../../core/outcome.js';
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
  const isFinal = said === undefined ? isOutcome(status) : said === true || said === 'final';
  const outcome: Outcome<SavedAnswer> =
    answer && isFinal
      ? { kind: 'completed', value: answer }
      : // Nobody can say what an error of the server left behind: where that matters, the rule says so.
        judged(said, answer ?? (handled as { error: unknown }).error, status < 500 ? 'retry' : rule);
  return fault === undefined ? outcome : { ...outcome, fault };
}

const NOTHING = { said: undefined, fault: undefined };

const isOutcome = (status: number): boolean => status < 500 && !NOT_NOW.includes(status);
