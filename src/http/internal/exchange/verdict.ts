import { answerOf } from '../../../core/ask.js';
import { ignoreRejection, messageOf, parseDuration } from '../../../core/check.js';
import { askLater, failureOutcome, judged, type Outcome } from '../../../core/outcome.js';
import type { Handled, SavedAnswer } from './answer.js';
import type { HttpSettings } from '../options.js';

/** Answers that say "not now", or "not with these credentials": they are no outcome of the operation. */
const NOT_NOW: readonly number[] = [401, 407, 408, 409, 425, 429];
/** What stands for the status of an error that the framework has not answered yet. */
const THROWN_STATUS = 500;

type Settings = Pick<HttpSettings<never>, 'rule' | 'warn'> & {
  readonly given: Pick<HttpSettings<never>['given'], 'remember' | 'ttlOf'>;
};

/** What is recorded of what a handler came to. */
export async function outcomeOf(handled: Handled, settings: Settings): Promise<Outcome<SavedAnswer>> {
  const { rule, given } = settings;
  const { remember } = given;
  if ('unclear' in handled) return failureOutcome('unknown', handled.unclear);
  const answer = 'answer' in handled ? handled.answer : undefined;
  const status = answer?.status ?? THROWN_STATUS;
  const { said, fault } = remember
    ? await askLater(() => answerOf('remember()', () => remember(status, handled)))
    : NOTHING;
  const isFinal = said === undefined ? isOutcome(status) : said === true || said === 'final';
  const outcome: Outcome<SavedAnswer> =
    answer && isFinal
      ? { kind: 'completed', value: answer, retentionMs: retentionOf(answer, settings) }
      : // Nobody can say what an error of the server left behind: where that matters, the rule says so.
        judged(said, answer ?? (handled as { error: unknown }).error, status < 500 ? 'retry' : rule);
  return fault === undefined ? outcome : { ...outcome, fault };
}

const NOTHING = { said: undefined, fault: undefined };

const isOutcome = (status: number): boolean => status < 500 && !NOT_NOW.includes(status);

/** What `ttlOf` says; where it throws, or says nothing that is a duration, the ttl holds: a charge must not be undone. */
function retentionOf({ status, headers }: SavedAnswer, { given, warn }: Settings): number | undefined {
  try {
    const said = ignoreRejection(given.ttlOf?.({ status, headers }));
    return said === undefined ? undefined : parseDuration('what ttlOf answered', said);
  } catch (error) {
    warn(`ttlOf for an answer with status ${status}: ${messageOf(error)}; the ttl holds`, { error });
    return undefined;
  }
}
