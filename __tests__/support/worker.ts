/**
 * A process of its own for the tests: charges the key once, by a task, on the Redis of REDIS_URL, and writes every
 * effect to the list `effects`. It says what happens in lines on its standard output, and obeys lines on its input.
 */
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { IdempotencyMiddleware } from '../../src/index.js';
import { Task, type MiddlewareDefinition } from '../../src/pipeline/index.js';

const [key = 'order', lease = '20s'] = process.argv.slice(2);
const url = process.env['REDIS_URL'] ?? '';
const effects = new Redis(url);
const idempotency = new IdempotencyMiddleware({ redis: url, lease });
const say = (line: string) => process.stdout.write(`${line}\n`);
const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

class ChargeCard extends Task {
  static override middlewares: MiddlewareDefinition[] = [
    idempotency.with<ChargeCard>({
      key: (task) => String(task.context.get('key')),
      onDuplicate: 'return-cached',
    }),
  ];
  async work() {
    say('started');
    // Waits to be told, so that the test decides when it ends, or that it never does.
    if (process.env['HOLD']) await commands.next();
    this.context.set('charge', await effects.rpush('effects', `charged by ${process.pid}`));
  }
}

const result = await ChargeCard.execute({ key });
say(JSON.stringify({ status: result.status, reason: result.reason, charge: result.context.get('charge') }));
await effects.quit();
// Nothing else ends it: what we opened must let an idle process go (G8).
process.stdin.destroy();
