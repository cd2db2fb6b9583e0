import type { AnswerTold, HistoryEvent, Told } from '../history.js';
import { Random } from '../random.js';
import type { Terms } from './check.js';

export const TERMS: Terms = {
  ...{ leaseMs: 400, waitTimeoutMs: 1_000, storeTimeoutMs: 300 },
  ...{ calm: false, slackMs: 0 },
};

interface Owner {
  readonly by: string;
  readonly key: string;
  readonly token: string;
  readonly fence: number;
}

/** A history by hand: each line a moment after the one before. */
export class Book {
  readonly events: HistoryEvent[] = [];
  now = 1_000;
  #calls = 0;
  #tokens = 0;
  #fence = 0;

  constructor(readonly random: Random) {}

  pass(ms: number): this {
    this.now += ms;
    return this;
  }

  note(by: string, told: Told): this {
    this.now += this.random.between(0.2, 3);
    this.events.push({ at: this.now, wall: this.now, by, ...told });
    return this;
  }

  invoke(by: string, key: string, probe = false): string {
    const call = `${by}/${++this.#calls}`;
    this.note(by, { is: 'invoke', key, call, probe });
    return call;
  }

  answer(key: string, call: string, told: AnswerTold): this {
    return this.note(call.split('/')[0] ?? '', { is: 'answer', key, call, ...told });
  }

  /** A claim that is granted. */
  grant(by: string, key: string, fence = (this.#fence += 10)): Owner {
    const owner = { by, key, token: `t${++this.#tokens}`, fence };
    const { token } = owner;
    const sentAt = this.now;
    this.note(by, { is: 'granted', key, token, fence, sentAt });
    return owner;
  }

  /** Its work, up to and with its effect. */
  effect({ by, key, token, fence }: Owner, call: string): string {
    const value = `${key} charged by ${call}`;
    this.note(by, { is: 'started', key, token, fence, call });
    this.note(by, { is: 'effect', key, token, fence, call, value });
    return value;
  }

  end({ by, key, token, fence }: Owner, call: string): this {
    return this.note(by, { is: 'ended', key, token, fence, call, how: 'success' });
  }

  settle({ by, key, token, fence }: Owner, accepted = true): this {
    const sentAt = this.now;
    return this.note(by, { is: 'settled', key, token, fence, sentAt, status: 'COMPLETED', accepted });
  }

  /** A whole run of a key: claim, work, settle, answer. The value that it answered. */
  run(by: string, key: string, probe = false): string {
    const call = this.invoke(by, key, probe);
    const owner = this.grant(by, key);
    const value = this.effect(owner, call);
    this.end(owner, call).settle(owner);
    this.answer(key, call, { how: 'success', value, recorded: true, token: owner.token });
    return value;
  }

  /** A duplicate that is told a value. */
  duplicate(by: string, key: string, value: string, probe = false): this {
    const call = this.invoke(by, key, probe);
    return this.answer(key, call, { how: 'success', value, recorded: true });
  }

  /** An owner that has its effect and is never heard of again. */
  crash(by: string, key: string): string {
    const call = this.invoke(by, key);
    const value = this.effect(this.grant(by, key), call);
    this.note('nemesis', { is: 'killed', worker: by });
    return value;
  }

  /** Everybody who is left asks for the key, once all is well. */
  heal(answers: Readonly<Record<string, string>>): this {
    this.note('nemesis', { is: 'healed' });
    for (const [key, value] of Object.entries(answers)) this.duplicate('last', key, value, true);
    return this;
  }
}

/** A history in which nothing is wrong: runs, duplicates, crashes with takeovers, failures, unrecorded answers. */
export function goodHistory(seed: number): HistoryEvent[] {
  const book = new Book(new Random(seed));
  const answers: Record<string, string> = {};
  const keys = 4 + Math.floor(book.random.between(0, 6));
  for (let index = 0; index < keys; index++) {
    const key = `k${index}`;
    answers[key] = book.random.pick(GOOD)(book, key, `w${index}`);
    for (let more = book.random.between(0, 3); more > 0; more--) book.duplicate('w0', key, answers[key]);
  }
  return book.heal(answers).events;
}

type Story = (book: Book, key: string, by: string) => string;

const GOOD: readonly Story[] = [
  (book, key, by) => book.run(by, key),
  // A crash, and a takeover after the lease.
  (book, key, by) => {
    book.crash(by, key);
    return book.pass(TERMS.leaseMs).run(`${by}b`, key);
  },
  // A paused owner that wakes up after a takeover, has its effect too, and is told the other one's answer.
  (book, key, by) => {
    const call = book.invoke(by, key);
    const owner = book.grant(by, key);
    const value = book.pass(TERMS.leaseMs).run(`${by}b`, key);
    book.effect(owner, call);
    book.end(owner, call).settle(owner, false);
    book.note(by, { is: 'stalled', from: book.now - 2 * TERMS.leaseMs });
    book.answer(key, call, { how: 'success', value, recorded: true });
    return value;
  },
  // A declared failure, and a retry at once.
  (book, key, by) => {
    const call = book.invoke(by, key);
    const { token, fence } = book.grant(by, key);
    book.note(by, { is: 'started', key, token, fence, call });
    book.note(by, { is: 'ended', key, token, fence, call, how: 'declared failure' });
    book.answer(key, call, { how: 'failure', code: 'failed', recorded: true, token });
    return book.run(by, key);
  },
  // An outage longer than the lease: the first answer was marked unrecorded, also the copy of it that a joiner got.
  (book, key, by) => {
    const call = book.invoke(by, key);
    const owner = book.grant(by, key);
    const value = book.effect(owner, call);
    book.end(owner, call).note(by, { is: 'unrecorded', key, token: owner.token, fence: owner.fence });
    book.answer(key, call, { how: 'success', value, recorded: false, token: owner.token });
    const joiner = book.invoke(by, key);
    book.answer(key, joiner, { how: 'success', value, recorded: true, token: owner.token });
    return book.pass(TERMS.leaseMs).run(`${by}b`, key);
  },
  // The store could not be asked.
  (book, key, by) => {
    const value = book.run(by, key);
    const call = book.invoke(by, key);
    book.answer(key, call, { how: 'refused', code: 'STORE_UNAVAILABLE', recorded: false });
    return value;
  },
];
