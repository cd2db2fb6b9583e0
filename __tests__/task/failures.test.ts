import { describe, expect, test } from '@jest/globals';
import { Result, Task, required, type MiddlewareDefinition } from '../../src/pipeline/index.js';
import { deferred } from '../support/deferred.js';
import { Charge, chargeTask, middleware } from '../support/tasks.js';

describe('which failures are kept', () => {
  test('a failure that the task declared is final', async () => {
    const ChargeCard = chargeTask(middleware(), { onDuplicate: 'return-cached' }, (task) =>
      task.fail('no funds', { bank: 51 }),
    );
    await ChargeCard.execute({ orderId: 'o-1' });
    expect(await ChargeCard.execute({ orderId: 'o-1' })).toMatchObject({
      status: 'failed',
      reason: 'no funds',
      metadata: { bank: 51 },
      cause: undefined,
    });
    expect(ChargeCard.runs()).toBe(1);
  });

  test('an exception is not: the next execution runs again', async () => {
    const ChargeCard = chargeTask(middleware(), {}, (task) => {
      if (task.runs() === 1) throw new TypeError('socket hang up');
    });
    expect(await ChargeCard.execute({ orderId: 'o-1' })).toMatchObject({
      status: 'failed',
      reason: '[TypeError] socket hang up',
    });
    expect((await ChargeCard.execute({ orderId: 'o-1' })).status).toBe('success');
    expect(ChargeCard.runs()).toBe(2);
  });

  test('whoever waited on an exception gets that failure, whatever onDuplicate says', async () => {
    const gate = deferred();
    const started = deferred();
    const ChargeCard = chargeTask(middleware(), { onDuplicate: 'skip' }, async () => {
      started.resolve();
      await gate.promise;
    });
    const first = ChargeCard.execute({ orderId: 'o-1' });
    await started.promise;
    const waiter = ChargeCard.execute({ orderId: 'o-1' });
    gate.reject(new TypeError('socket hang up'));
    expect(await waiter).toMatchObject({
      status: 'failed',
      reason: '[TypeError] socket hang up',
      cause: { name: 'TypeError', message: 'socket hang up' },
    });
    expect((await first).cause).toBeInstanceOf(TypeError);
    expect(ChargeCard.runs()).toBe(1);
  });

  test.each([
    ['a cause', { cause: new Error('x') }],
    ['a sub-task that failed with a cause', { causedFailure: { cause: new Error('x') } }],
    ['a reason in the form of an exception', { reason: '[TypeError] x' }],
  ])('a failed result with %s is no business failure', async (_, parts) => {
    const idempotency = middleware();
    let runs = 0;
    // A sub-task's result, handed up by an inner middleware as a workflow would.
    const inner = async (task: Task) => {
      runs++;
      const failed = new Result({
        ...{
          task,
          context: task.context,
          chain: [],
          index: 0,
          state: 'interrupted',
          status: 'failed',
          reason: 'sub',
        },
        ...parts,
      });
      return 'causedFailure' in parts
        ? (Object.create(failed, { causedFailure: { value: parts.causedFailure } }) as Result)
        : failed;
    };
    class Workflow extends Task {
      static override middlewares: MiddlewareDefinition[] = [[idempotency, { key: 'k' }], inner];
      work() {}
    }
    await Workflow.execute();
    await Workflow.execute();
    expect(runs).toBe(2);
  });

  test('invalid input is released: the key may come again with valid input', async () => {
    const idempotency = middleware();
    let runs = 0;
    class ChargeCard extends Task {
      static override middlewares: MiddlewareDefinition[] = [
        [idempotency, { key: 'k', onDuplicate: 'return-cached' }],
      ];
      amount = required('number');
      work() {
        runs++;
      }
    }
    expect(await ChargeCard.execute({ amount: 'ten' })).toMatchObject({
      status: 'failed',
      reason: 'Invalid',
    });
    expect(await idempotency.get(ChargeCard, 'k')).toBeUndefined();
    expect((await ChargeCard.execute({ amount: 10 })).status).toBe('success');
    expect(runs).toBe(1);
  });

  test('remember decides by the result, in the place of the default', async () => {
    const retryable = chargeTask(middleware(), { remember: 'none' }, (task) => task.fail('no funds'));
    await retryable.execute({ orderId: 'o' });
    await retryable.execute({ orderId: 'o' });
    expect(retryable.runs()).toBe(2);

    const chosen = chargeTask(
      middleware(),
      { remember: ({ reason }) => String(reason).includes('RangeError') },
      () => {
        throw new RangeError('declined');
      },
    );
    await chosen.execute({ orderId: 'o' });
    expect((await chosen.execute({ orderId: 'o' })).status).toBe('skipped');
    expect(chosen.runs()).toBe(1);
  });

  test('an exception under block is unknown, and the next execution is IN_DOUBT', async () => {
    const ChargeCard = chargeTask(middleware(), { onAbandoned: 'block' }, () =>
      Promise.reject(new Error('socket hang up')),
    );
    await ChargeCard.execute({ orderId: 'o-1' });
    const second = await ChargeCard.execute({ orderId: 'o-1' });
    expect(second).toMatchObject({
      status: 'failed',
      metadata: { code: 'IN_DOUBT' },
      cause: { code: 'IN_DOUBT' },
    });
    expect(ChargeCard.runs()).toBe(1);
  });
});

describe('a pipeline that rejects', () => {
  test('because a callback threw after the work was done: recorded as a success, and rejected as without us', async () => {
    const idempotency = middleware();
    class ChargeCard extends Charge {
      static override middlewares: MiddlewareDefinition[] = [
        [idempotency, { key: 'k', onDuplicate: 'return-cached' }],
      ];
      runs = () => 0;
      work() {
        this.context.set('chargeId', 'ch_1');
      }
      override onSuccess() {
        if (this.context.get('notify')) throw new Error('mail server down');
      }
    }
    await expect(ChargeCard.execute({ notify: true })).rejects.toThrow('mail server down');
    const second = await ChargeCard.execute({});
    expect(second.status).toBe('success');
    expect(second.context.get('chargeId')).toBe('ch_1');
  });

  test.each(['fail', 'skip'] as const)(
    'because a callback threw after the task said %s: recorded as what the task declared, and run once',
    async (how) => {
      let runs = 0;
      const mailDown = (): never => {
        throw new Error('mail server down');
      };
      class ChargeCard extends Charge {
        static override middlewares: MiddlewareDefinition[] = [
          [middleware(), { key: 'k', onDuplicate: 'return-cached' }],
        ];
        runs = () => runs;
        work() {
          runs++;
          this.context.set('looked', true);
          return how === 'fail'
            ? this.fail('declined', { code: 'CARD_DECLINED' })
            : this.skip('nothing to do', { code: 'CARD_DECLINED' });
        }
        override onFailed() {
          mailDown();
        }
        override onSkipped() {
          mailDown();
        }
      }
      await expect(ChargeCard.execute({})).rejects.toThrow('mail server down');
      const second = await ChargeCard.execute({});
      expect(second).toMatchObject({
        status: how === 'fail' ? 'failed' : 'skipped',
        reason: how === 'fail' ? 'declined' : 'nothing to do',
        metadata: { code: 'CARD_DECLINED' },
      });
      expect(second.cause).toBeUndefined();
      expect(second.context.get('looked')).toBe(true);
      expect(runs).toBe(1);
    },
  );

  test('because a callback threw after an exception: the exception decides, and the next execution runs', async () => {
    let runs = 0;
    class ChargeCard extends Charge {
      static override middlewares: MiddlewareDefinition[] = [[middleware(), { key: 'k' }]];
      runs = () => runs;
      work() {
        if (++runs === 1) throw new RangeError('socket hang up');
      }
      override onFailed() {
        throw new Error('mail server down');
      }
    }
    await expect(ChargeCard.execute({})).rejects.toThrow('mail server down');
    expect((await ChargeCard.execute({})).status).toBe('success');
    expect(runs).toBe(2);
  });

  test('while the work may still run: unknown, and the claim is kept', async () => {
    const idempotency = middleware();
    const timeout = () => Promise.reject(new Error('timed out'));
    class ChargeCard extends Task {
      static override middlewares: MiddlewareDefinition[] = [
        [idempotency, { key: 'k', onAbandoned: 'block' }],
        timeout,
      ];
      work() {}
    }
    await expect(ChargeCard.execute()).rejects.toThrow('timed out');
    expect(await ChargeCard.execute()).toMatchObject({ metadata: { code: 'IN_DOUBT' } });
  });
});
