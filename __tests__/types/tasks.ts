/** The task adapter as TypeScript users meet it, under cero-ts and under our own pipeline: compiled, never run. */
import { Cluster, Redis } from 'ioredis';
import {
  contextKey,
  getIdempotencyMiddleware,
  hashKey,
  IdempotencyMiddleware,
  InMemoryStore,
  type Attempt,
  type IdempotencyRecord,
  type TaskLike,
  type TaskOptions,
} from '../../src/index.js';
import * as pipeline from '../../src/pipeline/index.js';
import * as cero from './cero.js';
import { typed } from './same.js';

const idempotency = new IdempotencyMiddleware({ store: new InMemoryStore(), onDuplicate: 'return-cached' });

// An alias, since an interface has no index signature, which cero-ts asks of a context's shape.
type Order = {
  orderId: string;
  amount: number;
  chargeId: string;
};

/** cero-ts: both forms of an entry are assignable to what `static middlewares` holds. */
class ChargeCard implements cero.Task<Order> {
  static middlewares: cero.MiddlewareDefinition[] = [
    [idempotency, { key: 'order-1', ttl: 3600 }],
    [idempotency, { key: contextKey('orderId', { optional: 'coupon' }) }],
    idempotency.with<ChargeCard>({
      key: (task) => {
        typed<ChargeCard>()(task);
        return hashKey(task.context.orderId, task.context.get('amount'));
      },
      payload: (task) => task.context.amount,
      scope: (task) => task.tenant,
      onAbandoned: async (task, attempt) => {
        typed<ChargeCard>()(task);
        typed<Attempt>()(attempt);
        return { status: 'success', context: { chargeId: task.context.chargeId } };
      },
    }),
    idempotency.with({
      key: (task) => {
        typed<TaskLike>()(task);
        return String(task.context.get('orderId'));
      },
    }),
    getIdempotencyMiddleware('redis://localhost').with<ChargeCard>({ key: async (task) => task.tenant }),
  ];
  declare readonly context: cero.Context<Order> & Order;
  declare readonly chain: object;
  readonly tenant: string = 'acme';
  work(): void {}
}

/** Any task of cero-ts may be the receiver of `call`, and its own Result comes back. */
export async function callKeepsTheResultType(
  task: ChargeCard,
  next: () => Promise<cero.Result<Order>>,
): Promise<void> {
  const result = await idempotency.call(task, { key: 'order-1' }, next);
  typed<cero.Result<Order>>()(result);
}
export const asFunction: cero.MiddlewareFunction = idempotency.call.bind(idempotency);
export const asObject: cero.MiddlewareObject = idempotency;

/** Result classes that are taken: cero-ts', our own, and one with a static function for each status. */
class StaticResult {
  static success = (task: object): StaticResult => new StaticResult('success', { task });
  static skipped = (task: object, _reason?: string, _metadata?: object): StaticResult =>
    new StaticResult('skipped', { task });
  static failed = (task: object, _reason?: string, _metadata?: object): StaticResult =>
    new StaticResult('failed', { task });
  private constructor(
    readonly status: string,
    readonly metadata: object,
  ) {}
}
export const withResults = [
  new IdempotencyMiddleware({ Result: cero.Result }),
  new IdempotencyMiddleware({ Result: pipeline.Result }),
  new IdempotencyMiddleware({ Result: StaticResult }),
];

/** Clients are taken as they are. */
export const withClients = [
  new IdempotencyMiddleware({ redis: new Redis({ lazyConnect: true }) }),
  new IdempotencyMiddleware({ redis: new Cluster([], { lazyConnect: true }) }),
];

/** Our own pipeline. */
class Vote extends pipeline.Task<{ pollId: string; voterId: string }> {
  static override middlewares: pipeline.MiddlewareDefinition[] = [
    [idempotency, { key: 'vote', onDuplicate: 'fail' }],
    idempotency.with<Vote>({
      key: (task) => {
        typed<Vote>()(task);
        return hashKey(task.pollId, task.voterId);
      },
    }),
  ];
  pollId = pipeline.required('string');
  voterId = pipeline.required('string');
  work(): void {}
}

export async function theResultKnowsItsContext(): Promise<void> {
  const result = await Vote.execute({ pollId: 'p-1', voterId: 'v-1' });
  typed<pipeline.Result<{ pollId: string; voterId: string }>>()(result);
}

export async function recordsAreFoundByTaskClass(): Promise<void> {
  const record = await idempotency.get(Vote, 'vote');
  typed<IdempotencyRecord | undefined>()(record);
  const forgotten = await idempotency.forget(ChargeCard, 'order-1', { force: true, scope: 'acme' });
  typed<boolean>()(forgotten);
}

/** Options may be written down beside the class, and still be checked. */
export const shared = { key: (task) => task.context.orderId, ttl: '24h' } satisfies TaskOptions<ChargeCard>;
export const entry: cero.MiddlewareDefinition = [idempotency, shared];

export function refused(): void {
  // @ts-expect-error A key is needed.
  idempotency.with<ChargeCard>({ ttl: 3600 });
  // @ts-expect-error A misspelled option.
  idempotency.with<ChargeCard>({ key: 'order-1', onDuplicates: 'skip' });
  // @ts-expect-error No such answer to a duplicate.
  idempotency.with<ChargeCard>({ key: 'order-1', onDuplicate: 'ignore' });
  // @ts-expect-error The task has no such field.
  idempotency.with<ChargeCard>({ key: (task) => String(task.tennant) });
  // @ts-expect-error A key is a string.
  idempotency.with<ChargeCard>({ key: (task) => task.context.amount });
  // @ts-expect-error A misspelled option.
  new IdempotencyMiddleware({ redisUrl: 'redis://localhost' });
  // @ts-expect-error A Result class has a constructor of parts, or a function for each status.
  new IdempotencyMiddleware({ Result: { success: () => ({ status: 'success' }) } });
  // @ts-expect-error A store claims.
  new IdempotencyMiddleware({ store: new Map() });
}
