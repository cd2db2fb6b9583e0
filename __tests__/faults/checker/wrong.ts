import type { HistoryEvent } from '../history.js';
import { Random } from '../random.js';
import type { Property, Terms } from './check.js';
import { Book, goodHistory } from './examples.js';

export interface Wrong {
  readonly what: string;
  readonly property: Property;
  readonly terms?: Partial<Terms>;
  /** Writes what is wrong about a key that nothing else is about; what is left to do is to heal, where it says so. */
  readonly write: (book: Book, key: string) => string | undefined;
}

const CALM = { calm: true };

/** What no store may do, one thing each. */
export const WRONG: readonly Wrong[] = [
  {
    what: 'a later caller is told another value',
    property: 'No lost answer',
    write: (book, key) => {
      const value = book.run('w1', key);
      book.duplicate('w2', key, 'something else');
      return value;
    },
  },
  {
    what: 'a later caller runs it again, after the lease',
    property: 'No lost answer',
    write: (book, key) => {
      book.run('w1', key);
      return book.pass(1_000).run('w2', key);
    },
  },
  {
    what: 'a later caller is told that nobody knows',
    property: 'No lost answer',
    write: (book, key) => {
      const value = book.run('w1', key);
      const call = book.invoke('w2', key);
      book.answer(key, call, { how: 'refused', code: 'IN_DOUBT', recorded: false });
      return value;
    },
  },
  {
    what: 'two callers at a time are told different values',
    property: 'Agreement',
    write: (book, key) => {
      const calls = [book.invoke('w1', key), book.invoke('w2', key)];
      for (const call of calls)
        book.answer(key, call, { how: 'success', value: `of ${call}`, recorded: true });
      return `of ${calls[1]}`;
    },
  },
  {
    what: 'two outcomes are recorded',
    property: 'Agreement',
    write: (book, key) => {
      const call = book.invoke('w1', key);
      const owner = book.grant('w1', key);
      book.effect(owner, call);
      const value = book.pass(500).run('w2', key);
      book.end(owner, call).settle(owner);
      book.answer(key, call, { how: 'success', value, recorded: true });
      return value;
    },
  },
  {
    what: 'a takeover before the lease is over',
    property: 'No overlap',
    write: (book, key) => {
      book.crash('w1', key);
      return book.pass(300).run('w2', key);
    },
  },
  {
    what: 'a takeover a lease after the claim, but not after the renewal',
    property: 'No overlap',
    write: (book, key) => {
      const call = book.invoke('w1', key);
      const { token, fence } = book.grant('w1', key);
      book.note('w1', { is: 'started', key, token, fence, call });
      book.pass(200).note('w1', { is: 'renewed', key, token, fence, sentAt: book.now });
      const value = book.pass(250).run('w2', key);
      book.note('w1', { is: 'ended', key, token, fence, call, how: 'success' });
      book.answer(key, call, { how: 'success', value, recorded: true });
      return value;
    },
  },
  {
    what: 'an outcome that was released, and so an effect once more',
    property: 'No overlap',
    write: (book, key) => {
      const call = book.invoke('w1', key);
      const owner = book.grant('w1', key);
      book.effect(owner, call);
      book.end(owner, call);
      book.answer(key, call, { how: 'success', value: 'unrecorded', recorded: false, token: owner.token });
      return book.run('w2', key);
    },
  },
  {
    what: 'two effects after a lease, though nothing was disturbed',
    property: 'No overlap',
    terms: CALM,
    write: (book, key) => {
      book.crash('w1', key);
      return book.pass(500).run('w2', key);
    },
  },
  {
    what: 'a lower fence after a higher one',
    property: 'Fences',
    write: (book, key) => {
      const first = book.grant('w1', key, 7_000_000);
      book.pass(500).grant('w2', key, first.fence - 1);
      return book.pass(500).run('w2', `${key}`);
    },
  },
  {
    what: 'the same fence twice',
    property: 'Fences',
    write: (book, key) => {
      const first = book.grant('w1', key);
      book.pass(500).grant('w2', key, first.fence);
      return book.pass(500).run('w2', key);
    },
  },
  {
    what: 'a stale owner whose effect the downstream takes for the newest',
    property: 'Fences',
    write: (book, key) => {
      const call = book.invoke('w1', key);
      const stale = book.grant('w1', key, 8_000_000);
      const other = book.pass(500).invoke('w2', key);
      const value = book.effect(book.grant('w2', key, 7_999_999), other);
      book.effect(stale, call);
      for (const each of [call, other]) book.answer(key, each, { how: 'success', value, recorded: true });
      return value;
    },
  },
  {
    what: 'a key that nobody can complete any more',
    property: 'No wedge',
    write: (book, key) => {
      book.note('nemesis', { is: 'healed' });
      const call = book.invoke('last', key, true);
      book.answer(key, call, { how: 'refused', code: 'CONCURRENT_REQUEST', recorded: false });
      return undefined;
    },
  },
  {
    what: 'a key that is completed late',
    property: 'No wedge',
    write: (book, key) => {
      book.note('nemesis', { is: 'healed' });
      const call = book.invoke('last', key, true);
      book.pass(1_500).answer(key, call, { how: 'success', value: 'late', recorded: true });
      return undefined;
    },
  },
  {
    what: 'a call that never ends',
    property: 'Bounded answers',
    write: (book, key) => {
      book.invoke('w1', key);
      return book.run('w2', key);
    },
  },
  {
    what: 'a call that ends after its deadlines',
    property: 'Bounded answers',
    write: (book, key) => {
      const call = book.invoke('w1', key);
      const value = book.run('w2', key);
      book.pass(3_000).answer(key, call, { how: 'success', value, recorded: true });
      return value;
    },
  },
  {
    what: 'a waiter that is never woken',
    property: 'Bounded answers',
    terms: CALM,
    write: (book, key) => {
      const call = book.invoke('w1', key);
      const value = book.run('w2', key);
      book.pass(900).answer(key, call, { how: 'refused', code: 'IDEMPOTENCY_TIMEOUT', recorded: false });
      return value;
    },
  },
  {
    what: 'a process that ends by itself',
    property: 'Bounded answers',
    write: (book, key) => {
      book.note('nemesis', { is: 'died', worker: 'w1', why: 'an unhandled rejection' });
      return book.run('w2', key);
    },
  },
];

/** The wrong thing in the midst of a history in which nothing else is. */
export function wrongHistory({ write }: Wrong, seed: number): HistoryEvent[] {
  const around = goodHistory(seed);
  const book = new Book(new Random(seed + 1));
  book.now = 2 + Math.max(...around.map(({ at }) => at));
  const value = write(book, 'wrong');
  return [...around, ...(value === undefined ? book.events : book.heal({ wrong: value }).events)];
}
