import { describe, expect, test } from '@jest/globals';
import {
  contextKey,
  getIdempotencyMiddleware,
  hashKey,
  IdempotencyMiddleware,
  InMemoryStore,
} from '../../src/index.js';
import { Task, type MiddlewareDefinition } from '../../src/pipeline/index.js';
import { chargeTask, middleware } from '../support/tasks.js';

describe('keys', () => {
  test.each([
    ['undefined', () => undefined],
    ['null', () => null],
    ['NaN', () => NaN],
    ['an object', () => ({})],
    ['the text undefined', () => 'undefined'],
    ['[object Object]', () => '[object Object]'],
    ['the empty string', () => ''],
    [
      'an exception',
      () => {
        throw new TypeError('no user');
      },
    ],
  ])('%s is a failed result with code INVALID_KEY, and nothing runs', async (_, key) => {
    const ChargeCard = chargeTask(middleware(), { key: key as never });
    expect(await ChargeCard.execute({})).toMatchObject({
      status: 'failed',
      metadata: { code: 'INVALID_KEY' },
      cause: { code: 'INVALID_KEY' },
    });
    expect(ChargeCard.runs()).toBe(0);
  });

  test('contextKey composes; a missing part is an error, never a constant (G10)', async () => {
    const ChargeCard = chargeTask(middleware(), {
      key: contextKey('orderId', 'amount', { optional: 'coupon' }),
    });
    await ChargeCard.execute({ orderId: 'o', amount: 1 });
    await ChargeCard.execute({ orderId: 'o', amount: 1, coupon: 'X' });
    expect(await ChargeCard.execute({ orderId: 'o' })).toMatchObject({
      metadata: { code: 'INVALID_KEY' },
      reason: expect.stringContaining('amount'),
    });
    expect(ChargeCard.runs()).toBe(2);
  });

  test('may be computed asynchronously, or be a plain string', async () => {
    const asynchronous = chargeTask(middleware(), {
      key: async (task) => hashKey(task.context.get('orderId')),
    });
    await asynchronous.execute({ orderId: 1 });
    await asynchronous.execute({ orderId: 1 });
    expect(asynchronous.runs()).toBe(1);
    const plain = chargeTask(middleware(), { key: 'nightly-report' });
    await plain.execute();
    await plain.execute();
    expect(plain.runs()).toBe(1);
  });

  test('of two task classes, prefixes or scopes never meet', async () => {
    const idempotency = middleware();
    const tasks = [
      chargeTask(idempotency, { key: 'k' }),
      chargeTask(idempotency, { key: 'k', name: 'Refund' }),
      chargeTask(idempotency, { key: 'k', prefix: 'other' }),
      chargeTask(idempotency, { key: 'k', scope: () => 'tenant-1' }),
      chargeTask(idempotency, { key: 'k', scope: 'tenant-2' }),
    ];
    for (const each of tasks) await each.execute();
    expect(tasks.map((each) => each.runs())).toEqual([1, 1, 1, 1, 1]);
  });

  test('with another payload are refused with KEY_REUSED', async () => {
    const ChargeCard = chargeTask(middleware(), { key: 'k', payload: (task) => task.context.get('amount') });
    await ChargeCard.execute({ amount: 1 });
    expect(await ChargeCard.execute({ amount: 2 })).toMatchObject({ metadata: { code: 'KEY_REUSED' } });
  });

  test('a class name of one or two characters (minified) is refused unless a name is given', async () => {
    const idempotency = middleware();
    class A extends Task {
      static override middlewares: MiddlewareDefinition[] = [[idempotency, { key: 'k' }]];
      work() {}
    }
    class B extends A {
      static override middlewares: MiddlewareDefinition[] = [[idempotency, { key: 'k', name: 'ChargeCard' }]];
    }
    expect(await A.execute()).toMatchObject({ metadata: { code: 'INVALID_OPTIONS' } });
    expect((await B.execute()).status).toBe('success');
  });
});

describe('options', () => {
  test.each([
    [{ ttl: -1 }],
    [{ ttl: '2 weeks' }],
    [{ onDuplicate: 'replay' }],
    [{ on_duplicate: 'skip' }],
    [{ waitTimeout: 0 }],
    [{ key: 7 }],
  ])('%j is a failed result with code INVALID_OPTIONS', async (options) => {
    const ChargeCard = chargeTask(middleware(), options as never);
    expect(await ChargeCard.execute({ orderId: 'o' })).toMatchObject({
      metadata: { code: 'INVALID_OPTIONS' },
    });
    expect(ChargeCard.runs()).toBe(0);
  });

  test('a wrong default is refused at construction', () => {
    expect(() => middleware({ ttl: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(() => middleware({ onDuplicates: 'skip' } as never)).toThrow('onDuplicates');
  });

  test("the middleware's ttl is in seconds, text is plain, and milliseconds by mistake are warned of", async () => {
    const warnings: string[] = [];
    const idempotency = middleware({ logger: { warn: (message) => warnings.push(message) } });
    const retentionOf = async (ttl: number | string) => {
      const ChargeCard = chargeTask(idempotency, { key: `ttl-${ttl}`, ttl });
      await ChargeCard.execute();
      const record = await idempotency.get(ChargeCard, `ttl-${ttl}`);
      return Math.round((record!.expiresAt - Date.now()) / 1_000);
    };
    expect(await retentionOf(60)).toBe(60);
    expect(await retentionOf('2m')).toBe(120);
    expect(warnings).toEqual([]);
    await retentionOf(3_600_000);
    expect(warnings.join()).toContain('milliseconds');
  });

  test('defaults of the middleware hold for its tasks, and a task may differ', async () => {
    const idempotency = middleware({ onDuplicate: 'fail' });
    const failing = chargeTask(idempotency, { key: 'a' });
    await failing.execute();
    expect((await failing.execute()).status).toBe('failed');
    const skipping = chargeTask(idempotency, { key: 'b', onDuplicate: 'skip' });
    await skipping.execute();
    expect((await skipping.execute()).status).toBe('skipped');
  });

  test('get and forget find the record of a task, by its own options', async () => {
    const idempotency = middleware();
    const ChargeCard = chargeTask(idempotency, { key: 'k', prefix: 'shop', name: 'Charge' });
    await ChargeCard.execute();
    expect(await idempotency.get(ChargeCard, 'k')).toMatchObject({ status: 'COMPLETED' });
    expect(await idempotency.forget(ChargeCard, 'k')).toBe(true);
    expect(await idempotency.get(ChargeCard, 'k')).toBeUndefined();
    await ChargeCard.execute();
    expect(ChargeCard.runs()).toBe(2);
  });

  test('with() gives the typed form of the entry', async () => {
    const idempotency = middleware();
    let runs = 0;
    class SendMail extends Task<{ to: string }> {
      static override middlewares: MiddlewareDefinition[] = [
        idempotency.with<SendMail>({ key: (task) => `mail-${task.context.get('to')}` }),
      ];
      work() {
        runs++;
      }
    }
    await SendMail.execute({ to: 'a' });
    await SendMail.execute({ to: 'a' });
    expect(runs).toBe(1);
  });

  test('getIdempotencyMiddleware is one instance per URL, and connects to nothing', () => {
    const one = getIdempotencyMiddleware('redis://localhost:1');
    expect(getIdempotencyMiddleware('redis://localhost:1')).toBe(one);
    expect(getIdempotencyMiddleware('redis://localhost:2')).not.toBe(one);
    expect(getIdempotencyMiddleware()).toBe(getIdempotencyMiddleware());
    expect(one).toBeInstanceOf(IdempotencyMiddleware);
  });
});

describe('Results for duplicates, without importing the framework', () => {
  const context = new Map<string, unknown>();
  const task = {
    context: Object.assign(context, { toObject: () => Object.fromEntries(context) }),
    chain: [],
  };
  class ChargeCard {}
  const cero = Object.assign(Object.create(ChargeCard.prototype) as object, task);

  test('are built by a class with static success, skipped and failed, where one is given', async () => {
    class TheirResult {
      private constructor(
        readonly status: string,
        readonly reason?: string,
        readonly metadata?: object,
      ) {}
      static success = (_: unknown, metadata?: object) => new TheirResult('success', undefined, metadata);
      static skipped = (_: unknown, reason?: string, metadata?: object) =>
        new TheirResult('skipped', reason, metadata);
      static failed = (_: unknown, reason?: string, metadata?: object) =>
        new TheirResult('failed', reason, metadata);
    }
    const idempotency = new IdempotencyMiddleware({
      store: new InMemoryStore(),
      Result: TheirResult as never,
    });
    await idempotency.call(cero, { key: 'k' }, async () => TheirResult.success(task));
    const second = await idempotency.call(cero, { key: 'k' }, async () => TheirResult.success(task));
    expect(second).toBeInstanceOf(TheirResult);
    expect(second).toMatchObject({ status: 'skipped', metadata: { idempotent: true } });
  });

  test('are learnt from what next() answered', async () => {
    class Learnt {
      constructor(readonly parts: { status: string; reason?: string; metadata?: object }) {}
      get status() {
        return this.parts.status;
      }
      get reason() {
        return this.parts.reason;
      }
    }
    const idempotency = new IdempotencyMiddleware({ store: new InMemoryStore() });
    const next = async () => new Learnt({ status: 'success' });
    await idempotency.call(cero, { key: 'k' }, next);
    const second = await idempotency.call(cero, { key: 'k' }, next);
    expect(second).toBeInstanceOf(Learnt);
    expect(second.parts).toMatchObject({
      status: 'skipped',
      state: 'interrupted',
      retries: 0,
      rolledBack: false,
    });
  });

  test("or else come from the task's own _createResult(), also for the very first answer", async () => {
    const ChargeCardTask = chargeTask(middleware(), { key: () => undefined as never });
    const result = await ChargeCardTask.execute({});
    expect(result.constructor.name).toBe('Result');
  });

  test('where no class is known, the call rejects with INVALID_OPTIONS saying what to pass', async () => {
    const idempotency = new IdempotencyMiddleware({ store: new InMemoryStore() });
    const answer = idempotency.call(cero, { key: '' }, async () => ({}));
    await expect(answer).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining('{ Result }'),
    });
  });

  test('a task without a context like a map is INVALID_OPTIONS', async () => {
    class Plain {
      constructor(readonly parts: { status: string; metadata?: object; reason?: string }) {}
      get status() {
        return this.parts.status;
      }
      get reason() {
        return this.parts.reason;
      }
    }
    const idempotency = new IdempotencyMiddleware({ store: new InMemoryStore(), Result: Plain as never });
    const answer = await idempotency.call(
      { context: {} } as never,
      { key: 'k', name: 'Job' },
      async () => new Plain({ status: 'success' }),
    );
    expect(answer.parts.metadata).toMatchObject({ code: 'INVALID_OPTIONS' });
  });
});
