import type { Finding, Terms } from './check.js';
import { granted, type Attempt, type Call, type KeyStory, type Stories } from './stories.js';

interface Recorded {
  readonly call: Call;
  readonly value: string;
  readonly from: number;
  readonly at: number;
}

const LOSS = 'the store had lost its data in between';
/** What says only that the store could not be asked: no answer at all, so none that is wrong. */
const NO_ANSWER = new Set(['STORE_UNAVAILABLE']);

const UNRECORDED = 'the answer was marked unrecorded';

/** The successes of a key that their callers may take as recorded, in the order they were told. */
function recordedAnswers(story: KeyStory): Recorded[] {
  return story.calls
    .flatMap((call) => {
      const { answer, invoke } = call;
      if (!answer || answer.how !== 'success' || !isRecorded(answer, story)) return [];
      return [{ call, value: answer.value ?? '', from: invoke.at, at: answer.at }];
    })
    .sort((a, b) => a.at - b.at);
}

/**
 * Whether an answer counts as recorded. One that its caller was told to be unrecorded does not, nor does a copy of it that
 * its process gave to duplicates before the store knew of it (G7).
 */
function isRecorded(answer: NonNullable<Call['answer']>, story: KeyStory): boolean {
  const attempt = answer.token === undefined ? undefined : story.attempts.get(answer.token);
  if (!attempt || attempt.unrecordedAt > answer.at) return answer.recorded;
  const isCopy = attempt.started?.by === answer.by;
  return isCopy ? attempt.recordedLateAt <= answer.at : answer.recorded;
}

/** Once a caller got a recorded success, every later caller within the retention gets that same value. */
export function noLostAnswer(stories: Stories): Finding[] {
  return [...stories.keys.values()].flatMap((story) => {
    const told = recordedAnswers(story);
    const attempts = granted(story);
    return story.calls.flatMap((call): Finding[] => {
      const known = told.filter(({ at }) => at < call.invoke.at).at(-1);
      if (!known || !call.answer) return [];
      const what = lost(call, call.answer, known, attempts);
      if (what === undefined) return [];
      const isLost = stories.lostBetween(known.from, call.answer.at);
      const excuse = isLost ? LOSS : isOwnUnrecorded(call, story) ? UNRECORDED : undefined;
      return [{ property: 'No lost answer', key: story.key, what, excuse }];
    });
  });
}

/** Whether it got what its own process had finished and could not record yet, though others had recorded something since. */
function isOwnUnrecorded({ invoke, answer }: Call, story: KeyStory): boolean {
  const attempt = story.attempts.get(answer?.token ?? '');
  const isCopy = attempt?.started?.by === invoke.by && attempt.started.call !== invoke.call;
  return answer?.how === 'success' && isCopy && !isRecorded(answer, story);
}

function lost(
  { invoke: { call } }: Call,
  answer: NonNullable<Call['answer']>,
  known: Recorded,
  attempts: readonly Attempt[],
): string | undefined {
  const before = `after ${known.call.invoke.call} had got "${known.value}"`;
  const again = attempts.find(({ started }) => started?.call === call);
  if (again) return `${call} ran it again as ${again.token}, ${before}`;
  const isSame = answer.how === 'success' && answer.value === known.value;
  const isNone = answer.how === 'refused' && NO_ANSWER.has(answer.code ?? '');
  return isSame || isNone ? undefined : `${call} got ${answer.value ?? answer.code}, ${before}`;
}

/** G6: all successful answers for one key are equal to the recorded one, and one outcome is recorded. */
export function agreement(stories: Stories): Finding[] {
  return [...stories.keys.values()].flatMap((story) => [
    ...disagreements(story, stories),
    ...unrecorded(story),
    ...recordedTwice(story, stories),
  ]);
}

function disagreements(story: KeyStory, stories: Stories): Finding[] {
  const answers = recordedAnswers(story);
  return answers.flatMap((answer, index): Finding[] => {
    const before = answers[index - 1];
    if (!before || before.value === answer.value) return [];
    const what = `${before.call.invoke.call} was told "${before.value}", ${answer.call.invoke.call} "${answer.value}"`;
    const isLost = stories.lostBetween(Math.min(before.from, answer.from), answer.at);
    return [{ property: 'Agreement', key: story.key, what, excuse: isLost ? LOSS : undefined }];
  });
}

/** Counted, and excused: whoever got them was told that they are not recorded. */
function unrecorded(story: KeyStory): Finding[] {
  const values = new Set(recordedAnswers(story).map(({ value }) => value));
  if (values.size === 0) return [];
  return story.calls.flatMap(({ invoke, answer }): Finding[] => {
    if (answer?.how !== 'success' || isRecorded(answer, story) || values.has(answer.value ?? '')) return [];
    const what = `${invoke.call} was told "${answer.value}", unrecorded; others "${[...values].join('", "')}"`;
    return [{ property: 'Agreement', key: story.key, what, excuse: UNRECORDED }];
  });
}

function recordedTwice(story: KeyStory, stories: Stories): Finding[] {
  const completed = granted(story)
    .map((attempt) => ({ attempt, settled: completing(attempt) }))
    .filter(({ settled }) => settled !== undefined);
  return completed.slice(1).map(({ attempt, settled }, index): Finding => {
    const before = completed[index]!;
    const from = Math.min(before.settled!.sentAt, settled!.sentAt);
    const to = Math.max(before.settled!.at, settled!.at);
    const what = `the outcomes of ${before.attempt.token} and ${attempt.token} were both recorded`;
    const isLost = stories.lostBetween(from, to);
    return { property: 'Agreement', key: story.key, what, excuse: isLost ? LOSS : undefined };
  });
}

const completing = (attempt: Attempt) =>
  attempt.settled.find(({ status, accepted }) => status === 'COMPLETED' && accepted);

/** Every call ends within its deadlines, and nobody goes on waiting for what was recorded long ago. */
export function boundedAnswers(stories: Stories, terms: Terms): Finding[] {
  const died = stories.died.map(({ worker, why }): Finding => ({
    ...{ property: 'Bounded answers', key: '', excuse: undefined },
    what: `the process ${worker} ended by itself: ${why}`,
  }));
  const late = [...stories.keys.values()].flatMap((story) =>
    story.calls.flatMap((call): Finding[] => {
      const what = lateness(call, stories, terms) ?? waitedInVain(call, story, stories, terms);
      if (what === undefined) return [];
      return [{ property: 'Bounded answers', key: story.key, what, excuse: undefined }];
    }),
  );
  return [...died, ...late];
}

/** Claims that one call may send one after the other, and its settling. */
const STORE_CALLS = 5;
/** How long after the recording a waiter may still be refused because it waited too long. */
const PROMPT_MS = 500;

function lateness({ invoke, answer, ownWorkMs }: Call, stories: Stories, terms: Terms): string | undefined {
  if (!answer) {
    const wasKilled = (stories.killed.get(invoke.by) ?? 0) > invoke.at;
    const hasDied = stories.died.some(({ worker, at }) => worker === invoke.by && at > invoke.at);
    return wasKilled || hasDied ? undefined : `${invoke.call} never ended`;
  }
  const deadlines = terms.waitTimeoutMs + STORE_CALLS * terms.storeTimeoutMs + ownWorkMs;
  const patience = terms.slackMs + stories.stalledMs(invoke.by, invoke.at, answer.at);
  const tookMs = answer.at - invoke.at;
  if (tookMs <= deadlines + patience) return undefined;
  return `${invoke.call} took ${Math.round(tookMs)} ms, its deadlines are ${Math.round(deadlines)} ms together`;
}

function waitedInVain(
  { invoke, answer }: Call,
  story: KeyStory,
  stories: Stories,
  terms: Terms,
): string | undefined {
  if (!terms.calm || answer?.code !== 'IDEMPOTENCY_TIMEOUT') return undefined;
  const recordedAt = Math.min(...granted(story).map((attempt) => completing(attempt)?.at ?? Infinity));
  const sinceMs = answer.at - Math.max(recordedAt, invoke.at);
  const patience = PROMPT_MS + terms.slackMs + stories.stalledMs(invoke.by, invoke.at, answer.at);
  if (sinceMs <= patience) return undefined;
  return `${invoke.call} waited in vain: the outcome had been recorded for ${Math.round(sinceMs)} ms`;
}
