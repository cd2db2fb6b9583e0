/** What each option does that can be seen, and two values of it that can be told apart by that. */
import { jest } from '@jest/globals';
import { Engine } from '../../src/core/engine/engine.js';
import type { Operation } from '../../src/core/operation.js';
import type { ClaimRequest, LeaseStore, Settlement } from '../../src/core/store.js';
import { createIdempotency } from '../../src/index.js';
import { Result } from '../../src/pipeline/index.js';
import type { StoreKey } from '../../src/core/record.js';
import { newStore, type Call, type Adapter } from './adapters.js';

/** What a call came to, as its caller, the engine, the store and the work saw it. */
export interface Seen {
  readonly answer: unknown;
  readonly error: (Error & { code?: string }) | undefined;
  readonly asked: Operation<unknown> | undefined;
  readonly place: StoreKey | undefined;
  readonly claimed: ClaimRequest | undefined;
  readonly settled: Settlement | undefined;
  readonly wasReleased: boolean;
  readonly told: readonly string[];
  readonly runs: number;
}

/** What the values of an option are made with. */
export interface Means {
  /** Functions among the options say by it that they were called, or that it was them. */
  readonly tell: (text: string) => void;
  /** A store that the test looks into, and that says by what name it was asked. */
  readonly store: (name: string) => LeaseStore;
}
type Pair = readonly [unknown, unknown];
export interface Effect {
  readonly values: (adapter: Adapter, means: Means) => Pair;
  /** Of the option further out, where the two are combined, and are not of one kind. */
  readonly outerValues?: Effect['values'];
  /** What is different under the two values. */
  readonly see: (seen: Seen) => unknown;
  /** Beside it, so that something can be seen. */
  readonly also?: (adapter: Adapter) => object;
  readonly work?: () => unknown;
  readonly headers?: Record<string, string>;
  readonly times?: number;
}

const refused = ({ error }: Seen) => error?.code;
const told = (seen: Seen) => seen.told;
const fails = () => {
  throw new Error('declined');
};
class Money {
  constructor(readonly amount: number) {}
}
const codec = (name: string) => ({
  classes: [
    { name, type: Money, encode: ({ amount }: Money) => amount, decode: (n: number) => new Money(n) },
  ],
  redact: (value: unknown) => (value instanceof Money ? value : { ...(value as object), by: name }),
});
const policy = (name: keyof Operation<unknown>['policy'], ...values: Pair): Effect => ({
  values: () => values,
  see: ({ asked }) => asked?.policy[name],
});
const byForm =
  (option: keyof Adapter['form'], a: unknown, b: unknown): Effect['values'] =>
  ({ form }) =>
    form[option] === 'value' ? [a, b] : [() => a, () => b];
const functions =
  (text = 'told'): Effect['values'] =>
  (_, { tell }) => [() => tell(`${text} a`), () => tell(`${text} b`)];
const loggers: Effect['values'] = (_, { tell }) => [{ warn: () => tell('a') }, { warn: () => tell('b') }];
const stores: Effect['values'] = (_, { store }) => [store('a'), store('b')];
export const ABORTED = AbortSignal.abort();
const LIVE = new AbortController().signal;
class ResultA extends Result {}
class ResultB extends Result {}

/** A new option of any adapter without a line here fails the table test. */
export const EFFECTS: Readonly<Record<string, Effect>> = {
  ttl: policy('ttlMs', '20h', '21h'),
  lease: policy('leaseMs', '7s', '8s'),
  maxHold: policy('maxHoldMs', '7m', '8m'),
  waitTimeout: policy('waitTimeoutMs', '7s', '8s'),
  concurrent: policy('concurrent', 'wait', 'reject'),
  concurrentBehavior: policy('concurrent', 'WAIT', 'REJECT'),
  maxAttempts: policy('maxAttempts', 7, 8),
  onStoreError: policy('onStoreError', 'run', 'throw'),
  storeTimeout: policy('storeTimeoutMs', '700ms', '800ms'),
  maxResultBytes: policy('maxResultBytes', 7_000, 8_000),
  prefix: { values: () => ['p1', 'p2'], see: ({ place }) => [place?.prefix, place?.address] },
  name: { values: () => ['n1', 'n2'], see: ({ place }) => [place?.operation, place?.address] },
  scope: {
    values: ({ form }) => (form.scope === 'function' ? [() => 's1', () => 's2'] : ['s1', 's2']),
    outerValues: () => ['o1', 'o2'],
    see: ({ place }) => [place?.scope, place?.address],
  },
  pepper: {
    values: () => ['the pepper of the one', 'the pepper of another'],
    also: ({ form }) => ({ scope: form.scope === 'function' ? () => 's' : 's' }),
    see: ({ place }) => place?.scope,
  },
  requireScope: { values: () => [true, false], see: refused },
  key: { values: byForm('key', 'k1', 'k2'), see: ({ place }) => place?.key },
  keyGenerator: {
    values: () => [() => 'k1', () => 'k2'],
    see: ({ place }) => place?.key,
  },
  payload: { values: byForm('payload', 'p1', 'p2'), see: ({ claimed }) => claimed?.fingerprint },
  signal: {
    values: byForm('payload', ABORTED, LIVE),
    see: ({ asked }) => asked?.signal?.aborted,
  },
  remember: {
    values: () => [() => 'final', () => 'release'],
    work: fails,
    see: ({ settled, wasReleased }) => [settled?.final, wasReleased],
  },
  onAbandoned: { values: () => ['retry', 'block'], see: ({ claimed }) => claimed?.onAbandoned },
  onDuplicate: { values: () => ['skip', 'return-cached'], see: ({ asked }) => asked?.onDuplicate },
  store: { values: stores, see: told },
  idempotency: {
    values: (_, means) => {
      const of = (name: string) => createIdempotency({ store: means.store(name), logger: {} });
      return [of('a'), of('b')];
    },
    see: told,
  },
  codec: {
    values: () => [codec('a'), codec('b')],
    work: () => new Money(1),
    see: ({ settled }) => settled?.payload,
  },
  logger: {
    values: loggers,
    // Looks like the other unit, of which every adapter warns.
    also: (adapter) => ({ ttl: suspiciousTtl(adapter) }),
    see: told,
  },
  execute: { values: functions(), see: told },
  handler: { values: functions(), see: told },
  onCacheHit: { values: functions(), times: 2, see: told },
  onCacheMiss: { values: functions(), see: told },
  onDrop: { values: functions(), work: fails, also: () => ({ remember: 'all' }), see: told },
  retryDelay: { values: () => ['7s', '8s'], work: fails, see: ({ answer }) => answer },
  Result: {
    values: () => [ResultA, ResultB],
    times: 2,
    see: ({ answer }) => (answer as { by: string }).by,
  },
  required: { values: () => [true, false], headers: {}, see: ({ answer }) => answer },
  methods: { values: () => [['POST'], ['PUT']], see: ({ asked }) => asked !== undefined },
  header: {
    values: () => ['x-key-a', 'x-key-b'],
    headers: { 'x-key-a': '"a"', 'x-key-b': '"b"' },
    see: ({ place }) => place?.key,
  },
  bareKeys: {
    values: () => [true, false],
    headers: { 'idempotency-key': 'bare' },
    see: ({ answer }) => answer,
  },
  skip: { values: () => [() => true, () => false], see: ({ asked }) => asked !== undefined },
  route: { values: () => [() => '/a', () => '/b'], see: ({ place }) => place?.operation },
  fingerprint: { values: () => [() => 1, () => 2], see: ({ claimed }) => claimed?.fingerprint },
  replayHeaders: {
    values: () => [['x-a'], ['x-b']],
    see: ({ settled }) => settled?.payload,
  },
  maxBodyBytes: { values: () => [1, 1_000], see: ({ settled }) => settled?.payload },
  host: {
    values: () => [() => 'a.example', () => 'b.example'],
    see: ({ place }) => place?.address,
  },
  // Both are asked where something is answered in the handler's place: a replay, or a problem.
  headers: { values: functions(), times: 2, see: told },
  problem: { values: functions(), headers: {}, see: told },
  profile: { values: () => ['ietf', 'acp'], headers: {}, see: ({ answer }) => answer },
  maxRequestBytes: { values: () => [1, 1_000], see: ({ answer }) => answer },
  ttlOf: { values: () => [() => '1h', () => '2h'], see: ({ settled }) => settled?.retentionMs },
  admit: { values: () => [() => true, () => false], see: ({ runs }) => runs },
  docs: { values: () => ['https://a', 'https://b'], headers: {}, see: ({ answer }) => answer },
};

/** A ttl that was probably meant in the other unit. */
export const suspiciousTtl = (adapter: Adapter): number => ('onDuplicate' in adapter.own ? 3_600_000 : 3_600);

/** Where an option can't be seen, and why. */
export const UNSEEN: Readonly<Record<string, string>> = {
  'every adapter: keysInLogs': 'what loggers are told: logging.test.ts, and inheritance.test.ts',
  'a task: redis': 'it connects to a server: task/setup.test.ts',
  'idempotentProcessor(): retryDelay': 'the job goes by its own backoff',
  'consumeIdempotently(): retryDelay': 'how long a message is held back: more/amqp.test.ts',
  ...ofAdapters(['expressIdempotency()', 'fastifyIdempotency()', 'a route of Fastify'], {
    lateAnswer: 'it takes an answer in the place of the handler: http/outside-answers.test.ts',
    maxRequestBytes: 'their parsers have limits of their own',
  }),
  'fetchIdempotency(): lateAnswer': 'under fetch, nobody can answer in the place of the handler',
  'sqsBatchHandler(): retryDelay': 'SQS decides when a message comes again',
};

function ofAdapters(labels: readonly string[], reasons: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    labels.flatMap((label) => Object.entries(reasons).map(([name, why]) => [`${label}: ${name}`, why])),
  );
}

/** Makes a call, and looks at it. */
export async function observe(
  adapter: Adapter,
  given: Partial<Omit<Call, 'work'>> & Pick<Effect, 'work'>,
  told: string[] = [],
): Promise<Seen> {
  const watched = watch(given.store ?? newStore());
  const engine = jest.spyOn(Engine.prototype, 'run');
  let runs = 0;
  const work = () => (runs++, given.work ? given.work() : 'done');
  let answer: unknown;
  let error: Seen['error'];
  try {
    answer = await adapter.ask({
      ...{ outer: {}, inner: {}, isAlone: false, times: 1, headers: { 'idempotency-key': '"k"' } },
      ...given,
      store: watched.store,
      work,
    });
  } catch (refusal) {
    error = refusal as Error;
  }
  const asked = engine.mock.calls[0]?.[0];
  engine.mockRestore();
  return { answer, error, asked, place: asked?.key, ...watched.seen, told, runs };
}

/** Looks at what a store is asked. */
function watch(store: LeaseStore) {
  const seen = {
    claimed: undefined as ClaimRequest | undefined,
    settled: undefined as Settlement | undefined,
    wasReleased: false,
  };
  const { claim, settle, release } = store;
  const watching: Partial<LeaseStore> = {
    claim: (key, request) => ((seen.claimed ??= request), claim.call(store, key, request)),
    settle: (key, lease, settlement) => (
      (seen.settled ??= settlement),
      settle.call(store, key, lease, settlement)
    ),
    release: (key, token) => ((seen.wasReleased = true), release.call(store, key, token)),
  };
  return { store: Object.assign(store, watching), seen };
}

export const meansOf = (told: string[]): Means => ({
  tell: (text) => void told.push(text),
  store: (name) => {
    const store = newStore();
    const { claim } = store;
    const watching: LeaseStore['claim'] = (key, request) => (
      told.push(name),
      claim.call(store, key, request)
    );
    return Object.assign(store, { claim: watching });
  },
});
