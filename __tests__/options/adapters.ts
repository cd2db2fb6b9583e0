/** Every adapter behind one call, so that one test can go through all of them. */
import { createServer } from 'node:http';
import express from 'express';
import Fastify from 'fastify';
import type { Inheritance, Option } from '../../src/core/check.js';
import { isIdempotencyError } from '../../src/core/errors.js';
import type { LeaseStore } from '../../src/core/store.js';
import { expressIdempotency } from '../../src/http/express.js';
import { fastifyIdempotency } from '../../src/http/fastify.js';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { HTTP_INHERITANCE } from '../../src/http/internal/options.js';
import { RUN_INHERITANCE } from '../../src/idempotency/options.js';
import {
  createIdempotency,
  idempotent,
  IdempotencyMiddleware,
  InMemoryStore,
  makeIdempotent,
} from '../../src/index.js';
import { Task, type MiddlewareDefinition } from '../../src/pipeline/index.js';
import { consumeIdempotently } from '../../src/queue/amqp.js';
import { idempotentProcessor } from '../../src/queue/bullmq.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { CONSUMER_INHERITANCE } from '../../src/queue/internal/options.js';
import { sqsBatchHandler } from '../../src/queue/sqs.js';
import { TASK_INHERITANCE } from '../../src/task/options.js';
import { TRANSACTION_INHERITANCE, Transactions } from '../../src/transaction/transactions.js';
import { optionTables } from './tables.js';

/** One call of an adapter: whose options it has, and what it runs. */
export interface Call {
  readonly store: LeaseStore;
  /** Of the instance, the middleware, the plugin, or `transactions`. */
  readonly outer: object;
  /** The adapter's own. */
  readonly inner: object;
  /** Whether the adapter stands on a store, and not on an instance, where it has the choice. */
  readonly isAlone: boolean;
  readonly work: () => unknown;
  /** Of a request. */
  readonly headers: Record<string, string>;
  /** How often the same is asked. */
  readonly times: number;
}
type Table = Readonly<Record<string, Option>>;
export interface Adapter {
  readonly own: Table;
  /** The options that it gets from further out, where there are any. */
  readonly outer?: Table;
  readonly inheritance: Readonly<Record<string, Inheritance>>;
  /** What its key, scope, payload and signal may be: a value, a function of the call, or both. */
  readonly form: { readonly key: Form; readonly scope: Form; readonly payload: Form };
  /** Rejects with the refusal, and resolves with what the caller got. */
  readonly ask: (call: Call) => Promise<unknown>;
}
type Form = 'value' | 'function' | 'both';

/** What was given, and what else the adapter needs. Not a copy: getters and Proxies must reach the adapter as they are. */
function over(needs: object, given: object): never {
  for (const [name, value] of Object.entries(needs)) {
    if (!(name in given) || (name in Object.prototype && !Object.hasOwn(given, name)))
      Object.defineProperty(given, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return given as never;
}
const silent = () => ({ logger: {} });
const instance = ({ store, outer }: Call) => createIdempotency(over({ store, ...silent() }, outer));
/** The store, or an instance on it, unless the adapter is given one of the two. */
const engine = (call: Call): object => {
  if ('idempotency' in call.inner || (call.isAlone && 'store' in call.inner)) return {};
  return call.isAlone ? { store: call.store, ...silent() } : { idempotency: instance(call) };
};

async function again<R>({ times }: Call, ask: () => R): Promise<Awaited<R>> {
  for (let asked = 1; asked < times; asked++) await ask();
  return await ask();
}

async function askTask(call: Call): Promise<unknown> {
  const { store, outer, inner, work } = call;
  const middleware = new IdempotencyMiddleware(over({ store, ...silent() }, outer));
  const entry: object = over({ key: 'k' }, inner);
  class Pay extends Task {
    static override middlewares: MiddlewareDefinition[] = [[middleware, entry as never]];
    async work() {
      this.context.set('done', await work());
    }
  }
  const result = await again(call, () => Pay.execute({}));
  if (isIdempotencyError(result.cause)) throw result.cause;
  return { status: result.status, by: result.constructor.name, metadata: result.metadata };
}

/** What a handler answers: the work's failure is an answer, since HTTP remembers those. */
async function handle(work: () => unknown) {
  try {
    return { status: 200, body: JSON.stringify({ done: await work() }) };
  } catch {
    return { status: 500, body: 'declined' };
  }
}
const HANDLED = { 'x-a': '1', 'x-b': '1' };

async function seenOf(response: Response) {
  const { type, code } = (await response
    .clone()
    .json()
    .catch(() => ({}))) as { type?: string; code?: string };
  return { status: response.status, type, code };
}

async function askFetch(call: Call): Promise<unknown> {
  const serve = fetchIdempotency(over({ ...engine(call), scope: 'shared' }, call.inner))(async () => {
    const { status, body } = await handle(call.work);
    return new Response(body, { status, headers: HANDLED });
  });
  return again(call, async () => {
    const request = new Request('http://x/orders', { method: 'POST', headers: call.headers, body: 'body' });
    return seenOf(await serve(request));
  });
}

async function post(url: string, call: Call) {
  const headers = { 'content-type': 'text/plain', ...call.headers };
  return again(call, async () =>
    seenOf(await fetch(`${url}/orders`, { method: 'POST', headers, body: 'b' })),
  );
}

async function askExpress(call: Call): Promise<unknown> {
  const middleware = expressIdempotency(over({ ...engine(call), scope: 'shared' }, call.inner));
  const app = express();
  let failure: unknown;
  app.post('/orders', express.text(), middleware, async (_req, res) => {
    const { status, body } = await handle(call.work);
    res.status(status).set(HANDLED).send(body);
  });
  app.use((error: unknown, _req: unknown, res: express.Response, _next: unknown) => {
    failure = error;
    res.status(500).end();
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  try {
    const seen = await post(url, call);
    if (failure) throw failure as Error;
    return seen;
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** @param own the route's options, where it has some */
async function askFastify(call: Call, plugin: object, own?: object): Promise<unknown> {
  const app = Fastify();
  let failure: unknown;
  app.setErrorHandler((error, _request, reply) => {
    failure = error;
    return reply.code(500).send();
  });
  try {
    await app.register(fastifyIdempotency, plugin as never);
    const config = own ? { idempotency: own } : {};
    app.post('/orders', { config }, async (_request, reply) => {
      const { status, body } = await handle(call.work);
      return reply.code(status).headers(HANDLED).send(body);
    });
    const seen = await post(await app.listen({ port: 0, host: '127.0.0.1' }), call);
    if (failure) throw failure as Error;
    return seen;
  } finally {
    app.server.closeAllConnections();
    await app.close();
  }
}
const ofRoute = (call: Call) => {
  const hasOne = 'store' in call.outer || 'idempotency' in call.outer;
  const place =
    'idempotency' in call.inner
      ? { idempotency: instance({ ...call, outer: {} }) }
      : { store: call.store, ...silent() };
  const needs = { scope: 'shared', ...(!hasOne && place) };
  // The plugin itself must be allowed.
  if ('requireScope' in call.outer)
    return askFastify(
      call,
      over({ ...needs, scope: () => 's' }, call.outer),
      over({ scope: 'shared' }, call.inner),
    );
  const plugin: object = over(needs, call.outer);
  return askFastify(call, plugin, call.inner);
};

async function askConsumer(call: Call): Promise<unknown> {
  const needs = { ...engine(call), name: 'q', key: () => 'k', handler: call.work };
  const consume = idempotentConsumer(over(needs, call.inner));
  const { action, ...rest } = await again(call, () => consume({}));
  if (action === 'drop' && isIdempotencyError((rest as { error?: unknown }).error))
    throw (rest as { error: Error }).error;
  return { action, delayMs: 'delayMs' in rest ? rest.delayMs : undefined };
}

async function askBullMQ(call: Call): Promise<unknown> {
  const process = idempotentProcessor(over({ ...engine(call), handler: call.work }, call.inner));
  const job = { id: 'k', queueName: 'q', timestamp: 1, moveToDelayed: async () => undefined };
  return again(call, async () => {
    try {
      return { result: await process(job) };
    } catch (error) {
      const { name, message, cause } = error as Error;
      if (isIdempotencyError(cause)) throw cause;
      return { name, message };
    }
  });
}

/** Tells why a message was dropped; but the logger is asked only where nobody listens. */
const droppedBy = ({ inner, outer }: Call, onDrop: (message: unknown, error: unknown) => unknown) =>
  'logger' in inner || 'logger' in outer ? {} : { onDrop };

async function askAmqp(call: Call): Promise<unknown> {
  let deliver!: (message: { properties: { messageId: string }; content: Uint8Array } | null) => void;
  let told!: (said: string) => void;
  const channel = {
    consume: async (_: string, onMessage: typeof deliver) => ((deliver = onMessage), { consumerTag: 't' }),
    cancel: async () => undefined,
    ack: () => told('ack'),
    nack: (_: unknown, _all?: boolean, requeue?: boolean) => told(requeue ? 'requeue' : 'drop'),
  };
  const dropped: unknown[] = [];
  const onDrop = (_: unknown, error: unknown) => dropped.push(error);
  const bound = 'maxAttempts' in call.outer ? {} : { maxAttempts: 5 };
  const options = over(
    { ...droppedBy(call, onDrop), ...engine(call), handler: call.work, ...bound },
    call.inner,
  );
  const consumer = await consumeIdempotently(channel, 'q', options);
  try {
    return await again(call, async () => {
      const said = new Promise<string>((resolve) => (told = resolve));
      deliver({ properties: { messageId: 'k' }, content: Buffer.from('c') });
      // What is held back is given back when the consumer closes.
      const answer = await Promise.race([said, consumer.close().then(() => said)]);
      if (isIdempotencyError(dropped[0])) throw dropped[0];
      return answer;
    });
  } finally {
    await consumer.close();
  }
}

async function askSqs(call: Call): Promise<unknown> {
  const dropped: unknown[] = [];
  const onDrop = (_: unknown, error: unknown) => dropped.push(error);
  const handle = sqsBatchHandler(
    over({ ...droppedBy(call, onDrop), ...engine(call), handler: call.work }, call.inner),
  );
  const record = { messageId: 'k', body: 'b', eventSourceARN: 'arn:aws:sqs:eu:1:q', attributes: {} };
  return again(call, async () => {
    const answer = await handle({ Records: [record] });
    if (isIdempotencyError(dropped[0])) throw dropped[0];
    return answer;
  });
}

async function askTransaction(call: Call): Promise<unknown> {
  const open = { failure: undefined, endedByWork: false, query: async () => ({}) };
  const store = Object.assign(call.store, { session: () => open });
  const transactions = new Transactions(store, store, over({ name: 'n', ...silent() }, call.outer));
  return again(call, () => transactions.run('k', call.work, over({}, call.inner)));
}

const HTTP = {
  own: optionTables['HTTP adapters'] as unknown as Table,
  outer: optionTables['createIdempotency()'],
  inheritance: HTTP_INHERITANCE,
  form: { key: 'function', scope: 'function', payload: 'function' },
} as const;
const CONSUMER = {
  own: optionTables.consumers,
  outer: optionTables['createIdempotency()'],
  inheritance: CONSUMER_INHERITANCE,
  form: { key: 'function', scope: 'both', payload: 'function' },
} as const;
/** A middleware has no option for what its tasks can't be given otherwise. */
const OF_MIDDLEWARE = {
  admit: 'kept',
  keysInLogs: 'kept',
  redis: 'kept',
  store: 'kept',
  Result: 'kept',
  requireScope: 'kept',
  codec: 'kept',
};
const ALL_INHERITED = Object.fromEntries(
  Object.keys(optionTables['HTTP adapters']).map((name) => [name, 'inherited' as const]),
);

export const ADAPTERS: Readonly<Record<string, Adapter>> = {
  'run()': {
    own: optionTables['run()'],
    outer: optionTables['createIdempotency()'],
    inheritance: RUN_INHERITANCE,
    form: { key: 'value', scope: 'value', payload: 'value' },
    ask: (call) => {
      const idempotency = createIdempotency(over({ store: call.store, name: 'n', ...silent() }, call.outer));
      return again(call, () => idempotency.run('k', call.work, over({}, call.inner)));
    },
  },
  'idempotent()': {
    own: optionTables['idempotent()'],
    inheritance: {},
    form: { key: 'value', scope: 'value', payload: 'value' },
    ask: (call) => {
      const needs = { store: call.store, name: 'n', execute: call.work, ...silent() };
      const key = 'keyGenerator' in call.inner ? {} : { key: 'k' };
      return again(call, () => idempotent(over({ ...needs, ...key }, call.inner)));
    },
  },
  'makeIdempotent()': {
    own: optionTables['makeIdempotent()'],
    inheritance: {},
    form: { key: 'function', scope: 'both', payload: 'function' },
    ask: async (call) => {
      const needs = { store: call.store, name: 'n', ...silent() };
      const made = makeIdempotent((_: string) => call.work(), over(needs, call.inner));
      return again(call, () => made('k'));
    },
  },
  'a task': {
    own: optionTables['a task'],
    outer: optionTables.IdempotencyMiddleware,
    inheritance: { ...TASK_INHERITANCE, ...OF_MIDDLEWARE, logger: 'kept' } as Adapter['inheritance'],
    form: { key: 'both', scope: 'both', payload: 'function' },
    ask: askTask,
  },
  'expressIdempotency()': { ...HTTP, ask: askExpress },
  'fastifyIdempotency()': {
    ...HTTP,
    ask: (call) => askFastify(call, over({ ...engine(call), scope: 'shared' }, call.inner)),
  },
  'a route of Fastify': { ...HTTP, outer: HTTP.own, inheritance: ALL_INHERITED, ask: ofRoute },
  'fetchIdempotency()': { ...HTTP, ask: askFetch },
  'idempotentConsumer()': { ...CONSUMER, ask: askConsumer },
  'idempotentProcessor()': { ...CONSUMER, ask: askBullMQ },
  'consumeIdempotently()': { ...CONSUMER, ask: askAmqp },
  'sqsBatchHandler()': { ...CONSUMER, ask: askSqs },
  'transaction()': {
    own: optionTables['transaction()'],
    outer: optionTables.transactions,
    inheritance: TRANSACTION_INHERITANCE,
    form: { key: 'value', scope: 'value', payload: 'value' },
    ask: askTransaction,
  },
};

export const isHttp = (adapter: Adapter): boolean => adapter.own === HTTP.own;
/** A store of a call, where nothing else is said. */
export const newStore = (): LeaseStore => new InMemoryStore();
