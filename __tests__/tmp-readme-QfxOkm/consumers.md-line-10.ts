
import { Queue, QueueEvents, Worker, type Job } from 'bullmq';
import { idempotentProcessor } from 'twiceshy/bullmq';
import { RedisStore } from 'twiceshy/redis';

const url = process.env.REDIS_URL ?? 'redis://localhost:6379';
const connection = { url };

const processor = idempotentProcessor({
  store: new RedisStore(url),
  handler: async (job: Job<{ orderId: string }>, { step, deriveKey }) => {
    // Stripe.charges.create(..., { idempotencyKey: deriveKey('charge') })
    const charge = await step('charge', () => `ch_${job.data.orderId}`);
    return `${charge} with a key of ${deriveKey('charge').length} characters`;
  },
});
const worker = new Worker('orders', processor, { connection });

const queue = new Queue('orders', { connection });
const events = new QueueEvents('orders', { connection });
await events.waitUntilReady();
// A producer that retries: the deduplication id is the key, also after the job has finished.
const add = () => queue.add('charge', { orderId: 'o-1' }, { deduplication: { id: 'o-1' } });
console.log(await (await add()).waitUntilFinished(events));
console.log(await (await add()).waitUntilFinished(events));

await Promise.all([worker.close(), events.close(), queue.close()]);
await processor.close();
export {};
