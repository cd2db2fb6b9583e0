/** The function adapter as TypeScript users meet it: compiled, never run. */
import {
  ConcurrentBehavior,
  hashKey,
  idempotent,
  InMemoryStore,
  makeIdempotent,
  type Attempt,
  type CacheHit,
  type IdempotencyRecord,
  type IdempotencyStatus,
  type IdempotencyStore,
  type Stats,
} from '../../src/index.js';
import { typed } from './same.js';

interface PaymentResult {
  readonly paymentId: string;
  readonly at: Date;
}
const pay = (): PaymentResult => ({ paymentId: 'p_1', at: new Date() });
const key = 'order-1';
declare const ownStore: IdempotencyStore<{ other: number }>;

/** A store that people write by hand, with a record type of their own result. */
class RedisLike implements IdempotencyStore<PaymentResult> {
  get = async (_key: string): Promise<IdempotencyRecord<PaymentResult> | null> => null;
  set = async (_key: string, _record: IdempotencyRecord<PaymentResult>): Promise<void> => {};
  delete = async (_key: string): Promise<void> => {};
  clear = async (): Promise<void> => {};
}

export async function resultsAreInferred(): Promise<void> {
  typed<PaymentResult>()(await idempotent({ key, execute: () => pay() }));
  typed<PaymentResult>()(await idempotent({ key, execute: async () => pay() }));
  typed<PaymentResult>()(await idempotent<PaymentResult>({ key, execute: async () => pay() }));
  typed<void>()(await idempotent({ key, execute: async () => {} }));
  typed<PaymentResult | undefined>()(
    await idempotent({ key, execute: async ({ attempt }) => (attempt > 1 ? undefined : pay()) }),
  );
  // From execute alone: neither a store, nor a hook, nor a reconcile function takes part.
  typed<PaymentResult>()(await idempotent({ key, store: ownStore, execute: async () => pay() }));
  typed<PaymentResult>()(await idempotent({ key, store: new RedisLike(), execute: async () => pay() }));
  typed<PaymentResult>()(await idempotent({ key, store: new InMemoryStore(), execute: pay }));
  typed<PaymentResult>()(await idempotent({ key, store: new Map(), execute: pay }));
  typed<PaymentResult>()(
    await idempotent({ key, onAbandoned: () => ({ completed: pay() }), onCacheMiss: () => 5, execute: pay }),
  );
  // Whichever comes first.
  typed<PaymentResult>()(
    await idempotent({
      onCacheHit: (hitKey, record) => {
        typed<string>()(hitKey);
        typed<CacheHit<PaymentResult>>()(record);
        typed<PaymentResult>()(record.result);
        typed<string>()(record.result.paymentId);
        typed<IdempotencyStatus>()(record.status);
        typed<number>()(record.createdAt);
        typed<number>()(record.expiresAt);
        typed<number>()(record.hitCount);
      },
      key,
      execute: async () => pay(),
    }),
  );
  const withAttempt = await idempotent({
    keyGenerator: async () => hashKey('order', 1),
    execute: async (attempt) => {
      typed<Attempt>()(attempt);
      return pay();
    },
    onCacheHit: (_, record) => typed<CacheHit<PaymentResult>>()(record),
  });
  typed<PaymentResult>()(withAttempt);
}

export async function choicesAreNamesOrText(): Promise<void> {
  await idempotent({ key, execute: pay, concurrentBehavior: 'REJECT' });
  await idempotent({ key, execute: pay, concurrentBehavior: ConcurrentBehavior.WAIT });
  const behavior: ConcurrentBehavior = 'WAIT';
  await idempotent({ key, execute: pay, concurrentBehavior: behavior, ttl: '1h', waitTimeout: 30_000 });
  typed<Stats>()(idempotent.stats());
  typed<Stats>()(idempotent.stats({ name: 'charge', store: ownStore }));
}

declare function overloaded(id: string): Promise<string>;
declare function overloaded(id: number): Promise<number>;
declare class Account {
  readonly id: string;
}

export async function signaturesAreKept(): Promise<void> {
  const charge = async (orderId: string, amount = 5, ...tags: string[]) => ({ orderId, amount, tags });
  const wrapped = makeIdempotent(charge, {
    key: (orderId, amount, ...tags) => {
      typed<string>()(orderId);
      typed<number | undefined>()(amount);
      typed<string[]>()(tags);
      return hashKey(orderId, amount);
    },
    payload: (_, amount) => amount,
    onCacheHit: (_, { result }) => typed<Awaited<ReturnType<typeof charge>>>()(result),
  });
  typed<Promise<{ orderId: string; amount: number; tags: string[] }>>()(wrapped('o', 1, 'a', 'b'));
  typed<Parameters<typeof charge>>()({} as Parameters<typeof wrapped>);
  typed<Stats>()(wrapped.stats());
  const same: typeof charge = wrapped;
  void same;

  // Overloads and type parameters stay.
  const both = makeIdempotent(overloaded);
  typed<Promise<string>>()(both('a'));
  typed<Promise<number>>()(both(1));
  const identity = makeIdempotent(async <T>(value: T): Promise<T> => value, { name: 'identity' });
  typed<Promise<Date>>()(identity(new Date()));

  // A plain function gives a promise.
  const plain = makeIdempotent(function add(a: number, b: number) {
    return a + b;
  });
  typed<Promise<number>>()(plain(1, 2));
  const either = makeIdempotent((id: string): string | Promise<string> => id, { name: 'either' });
  typed<Promise<string>>()(either('a'));
  typed<Promise<void>>()(makeIdempotent((_: string): void => {}, { name: 'nothing' })('a'));

  // What hangs on the function stays.
  typed<number>()(makeIdempotent(Object.assign(charge, { version: 2 })).version);

  // `this` stays, and reaches the key.
  const withdraw = makeIdempotent(
    async function withdraw(this: Account, amount: number) {
      return `${this.id} - ${amount}`;
    },
    {
      key: function (amount) {
        typed<Account>()(this);
        return hashKey(this.id, amount);
      },
    },
  );
  typed<Promise<string>>()(withdraw.call(new Account(), 5));
  typed<Account>()({} as ThisParameterType<typeof withdraw>);
  // @ts-expect-error It needs its `this`.
  void withdraw(5);
}

export function refused(): void {
  // @ts-expect-error There is nothing to run.
  void idempotent({ key });
  // @ts-expect-error A misspelled option.
  void idempotent({ key, execute: pay, ttlMs: 5 });
  // @ts-expect-error No such choice.
  void idempotent({ key, execute: pay, concurrentBehavior: 'wait' });
  // @ts-expect-error A key is a string.
  void idempotent({ key: 42, execute: pay });
  // @ts-expect-error A store claims, or has get, set, delete and clear.
  void idempotent({ key, execute: pay, store: new Set() });
  // @ts-expect-error Not what was asked for.
  void idempotent<PaymentResult>({ key, execute: () => ({ paymentId: 1 }) });
  // @ts-expect-error A reconcile function finds what the work would have given.
  void idempotent({ key, execute: pay, onAbandoned: () => ({ completed: 5 }) });
  // @ts-expect-error Of an argument that the function does not take.
  makeIdempotent(async (id: string) => id, { name: 'of', key: (id: number) => String(id) });
  // @ts-expect-error It takes text.
  void makeIdempotent(async (id: string) => id, { name: 'of' })(5);
  // @ts-expect-error A function that uses `this` needs a key.
  makeIdempotent(async function withdraw(this: Account, amount: number) {
    return `${this.id} ${amount}`;
  });
  // @ts-expect-error Its options are functions of the arguments.
  makeIdempotent(async (id: string) => id, { name: 'of', payload: { id: 5 } });
}
