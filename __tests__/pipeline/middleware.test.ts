import { describe, expect, test } from '@jest/globals';
import {
  Result,
  Task,
  type MiddlewareDefinition,
  type MiddlewareFunction,
} from '../../src/pipeline/index.js';

const log: string[] = [];

function logging(name: string): MiddlewareFunction {
  return async (_task, options, next) => {
    log.push(`${name} in ${JSON.stringify(options)}`);
    const result = await next();
    log.push(`${name} out`);
    return result;
  };
}

class Counter {
  calls = 0;

  async call(_task: Task, options: Record<string, unknown>, next: () => Promise<Result>): Promise<Result> {
    this.calls += 1;
    log.push(`object in ${JSON.stringify(options)}`);
    return next();
  }
}

function taskWith(...middlewares: MiddlewareDefinition[]) {
  log.length = 0;
  return class Noted extends Task {
    static override middlewares: MiddlewareDefinition[] = middlewares;
    work(): void {
      log.push('work');
    }
  };
}

describe('middlewares', () => {
  test('functions, objects and tuples wrap the work, the first outermost', async () => {
    const counter = new Counter();
    const result = await taskWith(logging('a'), [logging('b'), { x: 1 }], counter, [
      counter,
      { y: 2 },
    ]).execute();

    expect(result.success).toBe(true);
    expect(log).toEqual([
      'a in {}',
      'b in {"x":1}',
      'object in {}',
      'object in {"y":2}',
      'work',
      'b out',
      'a out',
    ]);
    expect(counter.calls).toBe(2);
  });

  test('one that does not go on answers in the place of the work', async () => {
    const answer = taskWith(async (task) => {
      return new Result({
        ...task._createResult(),
        status: 'skipped',
        state: 'interrupted',
        reason: 'duplicate',
      });
    });

    expect(await answer.execute()).toMatchObject({ status: 'skipped', reason: 'duplicate' });
    expect(log).toEqual([]);
  });

  test('one that throws makes execute() reject', async () => {
    const thrower = taskWith(() => {
      throw new Error('out of order');
    });

    await expect(thrower.execute()).rejects.toThrow('out of order');
    expect(log).toEqual([]);
  });

  test('a class in the place of an instance makes execute() reject with a TypeError', async () => {
    const misused = taskWith(Counter as unknown as MiddlewareFunction);

    await expect(misused.execute()).rejects.toThrow(TypeError);
    await expect(misused.execute()).rejects.toThrow("cannot be invoked without 'new'");
  });

  test('_createResult() before the work leaves the task able to end with metadata', async () => {
    class Failing extends Task {
      static override middlewares: MiddlewareDefinition[] = [
        async (task, _options, next) => {
          task._createResult();
          return next();
        },
      ];
      work(): void {
        this.fail('declined', { code: 1 });
      }
    }

    expect((await Failing.execute()).metadata).toEqual({ code: 1 });
  });

  test('a subclass without its own list inherits it, and Task itself has none', async () => {
    class Heir extends taskWith(logging('a')) {}
    await Heir.execute();

    expect(log).toEqual(['a in {}', 'work', 'a out']);
    expect(Task.middlewares).toEqual([]);
  });
});
