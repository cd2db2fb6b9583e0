/** A BullMQ worker in a process of its own. */
import { Worker, type Job } from 'bullmq';
import { RedisStore } from '../../src/stores/redis/store.js';
import { idempotentProcessor } from '../../src/queue/bullmq.js';
import { charge, reach, say } from './kill-points.js';

const { REDIS_URL = '', QUEUE = '', RULE } = process.env;
const found = process.env['FOUND'];

const processor = idempotentProcessor({
  store: new RedisStore(REDIS_URL),
  lease: '1s',
  onAbandoned: found ? () => ({ completed: found }) : RULE === 'block' ? 'block' : 'retry',
  logger: {},
  handler: (job: Job<{ orderId: string }, string>, attempt) => charge(job.data.orderId, attempt),
});
const worker = new Worker<{ orderId: string }, string>(
  QUEUE,
  async (job, token) => {
    const result = await processor(job, token);
    await reach('before-ack');
    return result;
  },
  {
    connection: { url: REDIS_URL },
    lockDuration: 600,
    stalledInterval: 300,
    maxStalledCount: 10,
  },
);
worker.on('error', () => undefined);
await worker.waitUntilReady();
say('ready');
