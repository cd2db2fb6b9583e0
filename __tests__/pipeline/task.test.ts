import { describe, expect, test } from '@jest/globals';
import { optional, required, Result, Task, TaskFailedError } from '../../src/pipeline/index.js';

interface Order {
  orderId: string;
  receipt: { total: number };
}

class Charge extends Task<Order> {
  orderId = required('string');
  coupon = optional('string');
  parcel = optional<{ weight: number }>();

  async work(): Promise<void> {
    await Promise.resolve();
    this.context.set('receipt', { total: this.coupon === undefined ? 10 : 5 });
  }
}

describe('a task that ends well', () => {
  test('is a success whose context holds what the work set', async () => {
    const result = await Charge.execute({ orderId: 'o-1' });

    expect(result).toBeInstanceOf(Result);
    expect(result).toMatchObject({
      status: 'success',
      state: 'complete',
      reason: undefined,
      cause: undefined,
    });
    expect(result.context.get('receipt')).toEqual({ total: 10 });
    expect(result.task).toBeInstanceOf(Charge);
  });

  test('tells its state as it goes', async () => {
    const seen: string[] = [];
    class Watched extends Task {
      static override middlewares = [
        (task: Task, _options: object, next: () => Promise<Result>) => {
          seen.push(task._state);
          return next().finally(() => void seen.push(task._state));
        },
      ];
      work(): void {
        seen.push(this._state);
      }
    }

    await Watched.execute();

    expect(seen).toEqual(['initialized', 'executing', 'complete']);
  });
});

describe('a task that ends by its own judgement', () => {
  class Judge extends Task {
    work(): void {
      if (this.context.get('skip')) this.skip('not today', { day: 'Sunday' });
      return this.fail('declined', { code: 'NO_FUNDS' });
    }
  }

  test('is skipped with its reason and metadata, interrupted, without a cause', async () => {
    expect(await Judge.execute({ skip: true })).toMatchObject({
      status: 'skipped',
      state: 'interrupted',
      reason: 'not today',
      metadata: { day: 'Sunday' },
      cause: undefined,
    });
  });

  test('is failed with its reason and metadata, interrupted, without a cause', async () => {
    expect(await Judge.execute()).toMatchObject({
      status: 'failed',
      state: 'interrupted',
      reason: 'declined',
      metadata: { code: 'NO_FUNDS' },
      cause: undefined,
    });
  });
});

describe('a task whose work throws', () => {
  const cause = new RangeError('too much');
  class Throwing extends Task {
    work(): void {
      throw cause;
    }
  }

  test('is failed with the cause and the reason "[Name] message"', async () => {
    const result = await Throwing.execute();

    expect(result).toMatchObject({ status: 'failed', state: 'interrupted', reason: '[RangeError] too much' });
    expect(result.cause).toBe(cause);
    expect(result.rolledBack).toBe(false);
  });

  test('is rolled back where it can be', async () => {
    let undone = 0;
    class Undone extends Throwing {
      override rollback(): void {
        undone += 1;
      }
    }

    expect((await Undone.execute()).rolledBack).toBe(true);
    expect(undone).toBe(1);
  });

  test('whose rollback throws too makes execute() reject while executing: nobody can say what was undone', async () => {
    const states: string[] = [];
    class Stuck extends Throwing {
      override rollback(): void {
        states.push(this._state);
        throw new Error('stuck');
      }
    }

    await expect(Stuck.execute()).rejects.toThrow('stuck');
    expect(states).toEqual(['executing']);
  });

  test('executeStrict() rejects with the result, and resolves for anything but a failure', async () => {
    class Skipping extends Task {
      work(): void {
        this.skip('nothing to do');
      }
    }
    const error = await Throwing.executeStrict().catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({ message: '[RangeError] too much', cause, result: { status: 'failed' } });
    expect((await Skipping.executeStrict()).skipped).toBe(true);
  });
});

describe('callbacks', () => {
  test('onSuccess that throws makes execute() reject after the work finished: the state says complete', async () => {
    let task: Task | undefined;
    class Proud extends Task {
      work(): void {
        // eslint-disable-next-line @typescript-eslint/no-this-alias -- the instance is reachable in no other way
        task = this;
      }
      override onSuccess(result: Result): void {
        throw new Error(`after ${result.status}`);
      }
    }

    await expect(Proud.execute()).rejects.toThrow('after success');
    expect(task?._state).toBe('complete');
  });

  test('onFailed that throws makes execute() reject: the state says interrupted', async () => {
    const states: string[] = [];
    class Sulking extends Task {
      work(): void {
        this.fail('declined');
      }
      override onFailed(): void {
        states.push(this._state);
        throw new Error('after failed');
      }
    }

    await expect(Sulking.execute()).rejects.toThrow('after failed');
    expect(states).toEqual(['interrupted']);
  });

  test('each is called for its own status only', async () => {
    const called: string[] = [];
    class Both extends Task {
      work(): void {
        if (this.context.get('fail')) this.fail('asked to');
        if (this.context.get('skip')) this.skip('asked to');
      }
      override onSuccess(): void {
        called.push('success');
      }
      override onFailed(): void {
        called.push('failed');
      }
    }

    await Both.execute();
    await Both.execute({ skip: true });
    await Both.execute({ fail: true });

    expect(called).toEqual(['success', 'failed']);
  });
});

describe('attributes', () => {
  test('a missing or mistyped one fails as Invalid with messages, and the work does not run', async () => {
    let ran = false;
    class Strict extends Task {
      orderId = required('string');
      amount = required('number');
      note = optional('string');
      work(): void {
        ran = true;
      }
      override rollback(): void {
        ran = true;
      }
    }

    const result = await Strict.execute({ amount: '10', note: 7 });

    expect(result).toMatchObject({
      status: 'failed',
      reason: 'Invalid',
      cause: undefined,
      rolledBack: false,
    });
    expect(result.metadata).toEqual({
      errors: {
        messages: {
          orderId: ['orderId is required'],
          amount: ['amount must be a number'],
          note: ['note must be a string'],
        },
      },
    });
    expect(ran).toBe(false);
  });

  test('are checked after the middlewares, which see a missing one as undefined and may set it', async () => {
    const seen: unknown[] = [];
    class Late extends Task {
      static override middlewares = [
        (task: Task, _options: object, next: () => Promise<Result>) => {
          seen.push(task.context.get('orderId'), (task as Late).orderId);
          task.context.set('orderId', 'o-9');
          return next();
        },
      ];
      orderId = required('string');
      work(): void {
        seen.push(this.orderId);
      }
    }

    expect((await Late.execute()).success).toBe(true);
    expect(seen).toEqual([undefined, undefined, 'o-9']);
  });
});

describe('a workflow', () => {
  test('tasks given the same context share it and its chain, each at its own index', async () => {
    class Outer extends Task {
      async work(): Promise<void> {
        await Inner.execute(this.context);
      }
    }
    class Inner extends Task {
      work(): void {
        this.context.set('index', this._index);
      }
    }

    const result = await Outer.execute();

    expect(result.index).toBe(0);
    expect(result.context.get('index')).toBe(1);
    expect(result.chain.map((task) => task.constructor)).toEqual([Outer, Inner]);
  });

  test('two executions share nothing', async () => {
    const [one, two] = await Promise.all([
      Charge.execute({ orderId: 'a' }),
      Charge.execute({ orderId: 'b' }),
    ]);

    expect(one.chain).toHaveLength(1);
    expect(two.index).toBe(0);
    expect(one.context.get('orderId')).toBe('a');
  });
});
