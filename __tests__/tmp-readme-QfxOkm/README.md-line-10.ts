
import { createIdempotency } from 'twiceshy';
import { RedisStore } from 'twiceshy/redis';

const idempotency = createIdempotency({ store: new RedisStore(process.env.REDIS_URL), name: 'charge' });

const charge = (orderId: string) =>
  idempotency.run(orderId, async () => ({ chargeId: `ch_${orderId}`, at: new Date() }));

// Ten callers, one charge: here, or in ten processes.
const answers = await Promise.all(Array.from({ length: 10 }, () => charge('order-1')));
console.log(new Set(answers.map((answer) => answer.at.getTime())).size); // 1
export {};
