import { describe, expect, test } from '@jest/globals';
import { deferred } from '../support/deferred.js';
import { chargeTask, middleware } from '../support/tasks.js';

describe('onDuplicate', () => {
  test('skip (the default): skipped, with the reason and metadata of the recipe', async () => {
    const ChargeCard = chargeTask(middleware());
    const first = await ChargeCard.execute({ orderId: 'o-1' });
    const second = await ChargeCard.execute({ orderId: 'o-1' });
    expect(first).toMatchObject({ status: 'success', success: true });
    expect(second).toMatchObject({
      status: 'skipped',
      state: 'interrupted',
      reason: 'Duplicate execution prevented',
      metadata: { idempotent: true, originalStatus: 'success' },
    });
    expect(second.constructor).toBe(first.constructor);
    expect(ChargeCard.runs()).toBe(1);
  });

  test('fail: failed, with code DUPLICATE_EXECUTION', async () => {
    const ChargeCard = chargeTask(middleware(), { onDuplicate: 'fail' });
    await ChargeCard.execute({ orderId: 'o-1' });
    const second = await ChargeCard.execute({ orderId: 'o-1' });
    expect(second).toMatchObject({
      status: 'failed',
      reason: 'Duplicate execution not allowed',
      metadata: { code: 'DUPLICATE_EXECUTION', originalStatus: 'success' },
      cause: { code: 'DUPLICATE_EXECUTION' },
    });
    expect(ChargeCard.runs()).toBe(1);
  });

  describe('return-cached', () => {
    test('gives status, reason, metadata and the context changes of the first', async () => {
      const ChargeCard = chargeTask(middleware(), { onDuplicate: 'return-cached' }, (task) => {
        task.context.set('chargeId', 'ch_1');
        task.context.set('at', new Date(0));
        task.skip('already settled', { by: 'provider' });
      });
      const first = await ChargeCard.execute({ orderId: 'o-1' });
      const second = await ChargeCard.execute({ orderId: 'o-1' });
      const seen = { status: 'skipped', reason: 'already settled', metadata: { by: 'provider' } };
      expect(first).toMatchObject(seen);
      expect(second).toMatchObject(seen);
      expect(second.context.toObject()).toEqual({ orderId: 'o-1', chargeId: 'ch_1', at: new Date(0) });
    });

    test('writes back only what the task changed, never an old context over a newer one', async () => {
      const ChargeCard = chargeTask(middleware(), { onDuplicate: 'return-cached' }, ({ context }) => {
        (context.get('cart') as string[]).push('receipt');
        context.delete('draft');
        context.set('paid', undefined);
      });
      const old = { orderId: 'o-1', cart: ['book'], draft: true, card: '4242', note: 'old' };
      await ChargeCard.execute(old);
      const second = await ChargeCard.execute({
        orderId: 'o-1',
        cart: ['book'],
        draft: true,
        card: '5555',
        note: 'new',
      });
      expect(second.context.toObject()).toEqual({
        ...{ orderId: 'o-1', cart: ['book', 'receipt'], card: '5555', note: 'new', paid: undefined },
      });
      expect(second.context.has('paid')).toBe(true);
    });

    test('a record holds what the task changed, and none of its inputs', async () => {
      const idempotency = middleware();
      const ChargeCard = chargeTask(idempotency);
      await ChargeCard.execute({ orderId: 'o-1', card: '4242424242424242' });
      const record = await idempotency.get(ChargeCard, 'o-1');
      expect(record?.result).toEqual({ status: 'success', context: { chargeId: 'ch_1' } });
    });

    test('a value that cannot be encoded is told apart by reference, and is no change', async () => {
      class Socket {}
      const socket = new Socket();
      const ChargeCard = chargeTask(middleware(), { onDuplicate: 'return-cached' });
      await ChargeCard.execute({ orderId: 'o-1', socket });
      const second = await ChargeCard.execute({ orderId: 'o-1', socket });
      expect(second.status).toBe('success');
    });

    test('of a result that could not be recorded says so with RESULT_UNAVAILABLE; skip works all the same', async () => {
      class Socket {}
      const idempotency = middleware();
      const work = (task: { context: { set(name: string, value: unknown): unknown } }) =>
        task.context.set('s', new Socket());
      const Cached = chargeTask(idempotency, { onDuplicate: 'return-cached' }, work);
      await Cached.execute({ orderId: 'o-1' });
      expect(await Cached.execute({ orderId: 'o-1' })).toMatchObject({
        status: 'failed',
        metadata: { code: 'RESULT_UNAVAILABLE' },
      });
      const Skipping = chargeTask(idempotency, {}, work);
      expect(await Skipping.execute({ orderId: 'o-1' })).toMatchObject({
        status: 'skipped',
        metadata: { originalStatus: 'success' },
      });
      expect(Cached.runs() + Skipping.runs()).toBe(1);
    });
  });

  test('each finished status is told as originalStatus', async () => {
    const idempotency = middleware();
    const Failing = chargeTask(idempotency, {}, (task) => task.fail('no funds', { code: 51 }));
    await Failing.execute({ orderId: 'failed' });
    expect((await Failing.execute({ orderId: 'failed' })).metadata).toEqual({
      idempotent: true,
      originalStatus: 'failed',
    });
    const Skipping = chargeTask(idempotency, {}, (task) => task.skip('nothing to do'));
    await Skipping.execute({ orderId: 'skipped' });
    expect((await Skipping.execute({ orderId: 'skipped' })).metadata).toEqual({
      idempotent: true,
      originalStatus: 'skipped',
    });
  });
});

describe('while the first one runs', () => {
  function running(options = {}) {
    const gate = deferred();
    const started = deferred();
    const idempotency = middleware();
    const ChargeCard = chargeTask(idempotency, options, async ({ context }) => {
      started.resolve();
      await gate.promise;
      context.set('chargeId', 'ch_1');
    });
    const first = ChargeCard.execute({ orderId: 'o-1' });
    return { gate, started: started.promise, ChargeCard, first };
  }

  test('ten at once run once', async () => {
    const { gate, started, ChargeCard, first } = running({ onDuplicate: 'return-cached' });
    await started;
    const others = Array.from({ length: 9 }, () => ChargeCard.execute({ orderId: 'o-1' }));
    gate.resolve();
    const results = await Promise.all([first, ...others]);
    expect(results.map((each) => each.context.get('chargeId'))).toEqual(Array(10).fill('ch_1'));
    expect(ChargeCard.runs()).toBe(1);
  });

  test('a wait that runs out: failed, with the reason of the recipe and code IDEMPOTENCY_TIMEOUT', async () => {
    const { gate, started, ChargeCard, first } = running({ waitTimeout: 20 });
    await started;
    expect(await ChargeCard.execute({ orderId: 'o-1' })).toMatchObject({
      status: 'failed',
      reason: 'Timeout waiting for concurrent execution',
      metadata: { code: 'IDEMPOTENCY_TIMEOUT' },
    });
    gate.resolve();
    expect((await first).status).toBe('success');
  });

  test("concurrent: 'reject': failed, with the reason of the recipe and code CONCURRENT_REQUEST", async () => {
    const { gate, started, ChargeCard, first } = running({ concurrent: 'reject' });
    await started;
    expect(await ChargeCard.execute({ orderId: 'o-1' })).toMatchObject({
      status: 'failed',
      reason: 'Concurrent execution rejected',
      metadata: { code: 'CONCURRENT_REQUEST' },
    });
    gate.resolve();
    await first;
  });
});

describe('onAbandoned', () => {
  test('what a reconcile function found is given in the place of the work', async () => {
    const idempotency = middleware();
    const unknown = chargeTask(idempotency, { remember: () => 'unknown' }, () =>
      Promise.reject(new Error('crash')),
    );
    await unknown.execute({ orderId: 'o-1' });
    const ChargeCard = chargeTask(idempotency, {
      onDuplicate: 'return-cached',
      onAbandoned: (_, attempt) => ({
        status: 'success',
        context: { chargeId: `found by ${attempt.attempt}` },
      }),
    });
    const result = await ChargeCard.execute({ orderId: 'o-1' });
    expect(result).toMatchObject({ status: 'success' });
    expect(result.context.get('chargeId')).toBe('found by 2');
    expect((await ChargeCard.execute({ orderId: 'o-1' })).context.get('chargeId')).toBe('found by 2');
    expect(ChargeCard.runs()).toBe(0);
  });
});
