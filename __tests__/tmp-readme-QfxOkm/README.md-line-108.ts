
import express from 'express';
import { expressIdempotency } from 'twiceshy/express'; // also: twiceshy/fastify, twiceshy/fetch
import { RedisStore } from 'twiceshy/redis';

const idempotent = expressIdempotency({
  store: new RedisStore(process.env.REDIS_URL),
  scope: (req) => req.get('x-api-key'), // whose keys these are; stored as a hash
});
const app = express().use(express.json());
const provider = { charge: async (amount: number, key: string) => ({ id: `ch_${key.slice(0, 8)}`, amount }) };

app.post('/orders', idempotent, async (req, res) => {
  const { step, deriveKey } = req.idempotency!;
  // Done once, also when this process dies on the way and another one takes over.
  const charge = await step('charge', () => provider.charge(req.body.amount, deriveKey('charge')));
  res.status(201).json(charge);
});

const server = app.listen(0, async () => {
  const { port } = server.address() as { port: number };
  const order = (amount: number) =>
    fetch(`http://localhost:${port}/orders`, {
      method: 'POST',
      headers: { 'idempotency-key': '"order-1"', 'x-api-key': 'ann', 'content-type': 'application/json' },
      body: JSON.stringify({ amount }),
    });
  console.log((await order(5)).status); // 201
  console.log((await order(5)).headers.get('idempotency-replayed')); // true
  console.log((await (await order(9)).json()).code); // KEY_REUSED
  server.closeAllConnections();
  server.close();
});
export {};
