import { answerInTime } from '../../../core/ask.js';
import { ignoreRejection, errorMessage, parseDuration } from '../../../core/check.js';
import { askLater, failureOutcome, judged, type Outcome } from '../../../core/outcome.js';
import type { Handled, SavedAnswer } from './answer.js';
import type { HttpSettings } from '../options.js';

/** Answers that mean "not now" or "not with these credentials". They are not an outcome of the operation. */
const NOT_NOW: readonly number[] = [401, 407, 408, 409, 425, 429];
/** The status that `remember` gets for an error that the framework has not answered yet. */
const THROWN_STATUS = 500;

type Settings = Pick<HttpSettings<never>, 'rule' | 'warn'> & {
  readonly given: Pick<HttpSettings<never>['given'], 'remember' | 'ttlOf'>;
};

/** The outcome to record for how a handler ended. */
export async function toOutcome(handled: Handled, settings: Settings): Promise<Outcome<SavedAnswer>> {
  const { rule, given } = settings;
  const { remember } = given;
  if ('unclear' in handled) return failureOutcome('unknown', handled.unclear);
  const answer = 'answer' in handled ? handled.answer : undefined;
  const status = answer?.status ?? THROWN_STATUS;
  const { said, fault } = remember
    ? await askLater(() => answerInTime('remember()', () => remember(status, handled)))
    : NOTHING;
  const isFinal = said === undefined ? isOutcome(status) : said === true || said === 'final';
  const outcome: Outcome<SavedAnswer> =
    answer && isFinal
      ? { kind: 'completed', value: answer, retentionMs: askRetention(answer, settings) }
      : // After a 5xx it is not known what the handler did, so the rule for abandoned records applies.
        judged(said, answer ?? (handled as { error: unknown }).error, status < 500 ? 'retry' : rule);
  return fault === undefined ? outcome : { ...outcome, fault };
}

const NOTHING = { said: undefined, fault: undefined };

const isOutcome = (status: number): boolean => status < 500 && !NOT_NOW.includes(status);

/** The retention that `ttlOf` returns. If it throws or returns no duration, `ttl` applies, because the work is done already. */
function askRetention({ status, headers }: SavedAnswer, { given, warn }: Settings): number | undefined {
  try {
    const said = ignoreRejection(given.ttlOf?.({ status, headers }));
    return said === undefined ? undefined : parseDuration('what ttlOf answered', said);
  } catch (error) {
    warn(`ttlOf for an answer with status ${status}: ${errorMessage(error)}; ttl is used instead`, { error });
    return undefined;
  }
}
