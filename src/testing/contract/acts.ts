import type { Arbitrary } from 'fast-check';
import type { RecordedStep } from '../../core/record.js';

export type Outcome = 'completed' | 'final' | 'failed' | 'unknown';

/** One of the actors by number, or the owner of the record. */
export type Who = number | 'owner';

/** What an actor does. A `brief` lease ends at once. A `stray` attempt has a lease for another key. */
export type Act =
  | { act: 'claim'; who: Who; replacing: 'standing' | 'another' | 'nobody'; brief: boolean }
  | { act: 'renew'; who: Who; brief: boolean }
  | { act: 'step'; who: Who; step: RecordedStep }
  | { act: 'settle'; who: Who; outcome: Outcome; payload: string | undefined }
  | { act: 'release'; who: Who }
  | { act: 'stray'; who: Who }
  | { act: 'forget'; force: boolean }
  | { act: 'resolve'; outcome: 'completed' | 'final' | 'failed'; payload: string | undefined };

const LONGEST_HISTORY = 30;

/** Loads fast-check, and makes the generator of histories. It is loaded here, so that the other tests work without it. */
export async function makeHistories() {
  const fc = await load();
  const who = fc.constantFrom<Who>(0, 1, 2, 3);
  // Mostly the owner: writes of others are usually refused.
  const writer = fc.constantFrom<Who>(0, 1, 2, 3, 'owner', 'owner', 'owner');
  const payload = fc.constantFrom(undefined, '', '"done"', 'é\n\n"😀');
  const brief = fc.constantFrom(false, false, false, false, true);
  const name = fc.constantFrom('charge', 'mail', 'a\n"b"');
  const act = fc.constant.bind(fc);
  const acts: { weight: number; arbitrary: Arbitrary<Act> }[] = [
    {
      weight: 8,
      arbitrary: fc.record({
        ...{ act: act('claim' as const), who, brief },
        replacing: fc.constantFrom('standing', 'standing', 'standing', 'another', 'nobody'),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        ...{ act: act('settle' as const), who: writer, payload },
        outcome: fc.constantFrom('completed', 'final', 'failed', 'failed', 'failed', 'unknown', 'unknown'),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ act: act('step' as const), who: writer, step: fc.record({ name, payload }) }),
    },
    { weight: 2, arbitrary: fc.record({ act: act('renew' as const), who: writer, brief }) },
    { weight: 2, arbitrary: fc.record({ act: act('release' as const), who: writer }) },
    { weight: 1, arbitrary: fc.record({ act: act('stray' as const), who }) },
    { weight: 1, arbitrary: fc.record({ act: act('forget' as const), force: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        ...{ act: act('resolve' as const), payload },
        outcome: fc.constantFrom('completed', 'final', 'failed', 'failed'),
      }),
    },
  ];
  return {
    fc,
    history: fc.array(fc.oneof(...acts), { minLength: 1, maxLength: LONGEST_HISTORY, size: 'max' }),
  };
}

async function load() {
  try {
    return await import('fast-check');
  } catch (cause) {
    const advice = 'npm install --save-dev fast-check, or pass { skip: { "random histories": "<why>" } }';
    throw new Error(`the random histories need fast-check: ${advice}`, { cause });
  }
}
