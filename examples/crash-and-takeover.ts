/**
 * Two processes and a crash. The first one is killed while it charges; the second waits for its lease to end, takes
 * over, and charges under the same key of the provider, which knows whether the first one got through.
 *
 * Needs a Redis that both can reach: REDIS_URL=redis://localhost:6379 npx tsx examples/crash-and-takeover.ts
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { currentAttempt, IdempotencyMiddleware } from 'twiceshy';
import { required, Task, type MiddlewareDefinition } from 'twiceshy/pipeline';

const isDoomed = process.argv[3] === 'doomed';
const orderId = process.argv[2] ?? `o-${process.pid}`;
const idempotency = new IdempotencyMiddleware({ lease: '1s', waitTimeout: '10s' });

class ChargeCard extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    idempotency.with<ChargeCard>({ key: (task) => task.orderId, onDuplicate: 'return-cached' }),
  ];
  orderId = required('string');

  async work() {
    const attempt = currentAttempt();
    console.log(
      `attempt ${attempt?.attempt} charges, with the provider's key ${attempt?.deriveKey('charge')}`,
    );
    // Held up by the provider: this is when it is killed.
    if (isDoomed) {
      process.send?.('charging');
      await new Promise(() => setInterval(() => undefined, 1_000));
    }
    this.context.set('chargeId', `ch_${this.orderId}`);
  }
}

if (!isDoomed) {
  const first = fork(fileURLToPath(import.meta.url), [orderId, 'doomed'], { execArgv: process.execArgv });
  await once(first, 'message');
  const gone = once(first, 'exit');
  first.kill('SIGKILL');
  await gone;
  console.log('the first process was killed');
}
const result = await ChargeCard.execute({ orderId });
console.log(`${result.status}: ${String(result.context.get('chargeId'))}`);
