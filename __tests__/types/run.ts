/** What `run` and its neighbours infer, and what they refuse: compiled, never run. */
import {
  createIdempotency,
  InMemoryStore,
  type Attempt,
  type IdempotencyRecord,
  type IdempotencyStatus,
} from '../../src/index.js';
import { typed } from './same.js';

const store = new InMemoryStore();
const idempotency = createIdempotency({ name: 'run', store });

interface Charge {
  readonly chargeId: string;
  readonly at: Date;
}
const charge = (): Charge => ({ chargeId: 'ch_1', at: new Date() });

export async function resultsAreInferred(): Promise<void> {
  const fromSync = await idempotency.run('order-1', () => charge());
  typed<Charge>()(fromSync);

  const fromAsync = await idempotency.run('order-1', async () => charge());
  typed<Charge>()(fromAsync);

  const either = await idempotency.run('order-1', async ({ attempt }) =>
    attempt > 1 ? undefined : charge(),
  );
  typed<Charge | undefined>()(either);

  const nothing = await idempotency.run('order-1', async () => {});
  typed<void>()(nothing);
}

export async function theWorkAndTheReconcileFunctionAreTyped(): Promise<void> {
  const result = await idempotency.run(
    'order-1',
    (attempt) => {
      typed<Attempt>()(attempt);
      return charge();
    },
    {
      payload: { amount: 5 },
      signal: AbortSignal.timeout(5),
      onAbandoned: async (attempt) => {
        typed<Attempt>()(attempt);
        return attempt.attempt > 3 ? 'run' : { completed: charge() };
      },
      remember: (failure) => {
        typed<unknown>()(failure);
        return failure instanceof TypeError ? 'final' : false;
      },
    },
  );
  typed<Charge>()(result);
}

export async function recordsAreOfTheTypeThatIsAskedFor(): Promise<void> {
  const untyped = await idempotency.get('order-1');
  typed<IdempotencyRecord | undefined>()(untyped);
  const record = await idempotency.get<Charge>('order-1');
  typed<IdempotencyRecord<Charge> | undefined>()(record);
  if (record) typed<IdempotencyStatus>()(record.status);
}

export function refused(): void {
  // @ts-expect-error A misspelled option.
  createIdempotency({ store, retention: '24h' });
  // @ts-expect-error A store is needed.
  createIdempotency({});
  // @ts-expect-error No such choice.
  createIdempotency({ name: 'run', store, concurrent: 'ignore' });
  // @ts-expect-error A misspelled option.
  void idempotency.run('order-1', charge, { waitTimeOut: '3s' });
  // @ts-expect-error The work comes second.
  void idempotency.run('order-1', { ttl: '1h' });
  // @ts-expect-error A key is a string: String(42), or hashKey(42).
  void idempotency.run(42, charge);
  // @ts-expect-error What a reconcile function found is of the type that the work gives.
  void idempotency.run<Charge>('order-1', charge, { onAbandoned: () => ({ completed: { chargeId: 1 } }) });
  // @ts-expect-error An outcome is a result or an error.
  void idempotency.resolve('order-1', {});
  // @ts-expect-error There is no such event.
  idempotency.on('finished', () => undefined);
  // @ts-expect-error With exactOptionalPropertyTypes, absent is not undefined.
  createIdempotency({ name: 'run', store, ttl: undefined });
}
