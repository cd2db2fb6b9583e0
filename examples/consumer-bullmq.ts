/**
 * A BullMQ worker: the job that is added twice charges once, and the one that fails goes on after the step that it had
 * reached.
 *
 * Needs a Redis: REDIS_URL=redis://localhost:6379 npx tsx examples/consumer-bullmq.ts
 */
import { Queue, QueueEvents, Worker, type Job } from 'bullmq';
import { idempotentProcessor } from 'twiceshy/bullmq';
import { RedisStore } from 'twiceshy/redis';

interface Order {
  orderId: string;
}
const url = process.env['REDIS_URL'] ?? 'redis://localhost:6379';
const name = `orders-${process.pid}`;
let mailServerIsDown = true;

const processor = idempotentProcessor({
  store: new RedisStore(url),
  key: (job: Job<Order>) => job.data.orderId,
  handler: async (job: Job<Order>, { attempt, deriveKey, step }) => {
    const charge = await step('charge', () => {
      console.log(`attempt ${attempt} charges, with the provider's key ${deriveKey('charge')}`);
      return `ch_${job.data.orderId}`;
    });
    return step('email', () => {
      if (mailServerIsDown) {
        mailServerIsDown = false;
        throw new Error('the mail server is down');
      }
      console.log(`attempt ${attempt} sends the receipt`);
      return `${charge}, receipt sent`;
    });
  },
});

const connection = { url };
const worker = new Worker<Order, string>(name, processor, { connection });
const queue = new Queue<Order, string>(name, { connection });
const events = new QueueEvents(name, { connection });
await events.waitUntilReady();

for (const request of ['first', 'second']) {
  const job = await queue.add('charge', { orderId: `o-${process.pid}` }, { attempts: 3 });
  console.log(`${request}: ${await job.waitUntilFinished(events)}`);
}
await worker.close();
await processor.close();
await events.close();
await queue.obliterate();
await queue.close();
