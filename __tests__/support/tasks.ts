import {
  IdempotencyMiddleware,
  type IdempotencyMiddlewareOptions,
  type TaskOptions,
} from '../../src/index.js';
import { Task, type MiddlewareDefinition } from '../../src/pipeline/index.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';

/** A middleware on a store of its own, silent. */
export function middleware(options: IdempotencyMiddlewareOptions = {}) {
  return new IdempotencyMiddleware({ store: new InMemoryStore(), logger: {}, ...options });
}

/** A task class that does `work`, under a middleware, and counts its runs. */
export function chargeTask(
  idempotency: IdempotencyMiddleware,
  options: Partial<TaskOptions> = {},
  work: (task: Charge) => unknown = (task) => task.context.set('chargeId', `ch_${task.runs()}`),
) {
  let runs = 0;
  class ChargeCard extends Charge {
    static override middlewares: MiddlewareDefinition[] = [
      [idempotency, { key: (task: Charge) => String(task.context.get('orderId')), ...options }],
    ];
    runs = () => runs;
    async work() {
      runs++;
      await work(this);
    }
  }
  return Object.assign(ChargeCard, { runs: () => runs });
}

export abstract class Charge extends Task {
  abstract runs: () => number;
  // Open to the tests, which give the work from outside.
  override fail(reason: string, metadata?: Record<string, unknown>): never {
    return super.fail(reason, metadata);
  }
  override skip(reason: string, metadata?: Record<string, unknown>): never {
    return super.skip(reason, metadata);
  }
}
