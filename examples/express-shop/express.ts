/** The shop on Express 5: `PORT=3000 REDIS_URL=... tsx examples/express-shop/express.ts`. */
import type { AddressInfo } from 'node:net';
import express from 'express';
import { expressIdempotency } from 'twiceshy/express';
import { callerOf, listening, placeOrder, port, provider, rules, type Order } from './shop.js';

const app = express();
app.use(express.json());

const idempotent = expressIdempotency({ ...rules, scope: (req) => callerOf(req.get('x-api-key')) });

app.post('/orders', idempotent, async (req, res) => {
  res.status(201).json(await placeOrder(req.body as Order, req.idempotency!));
});
app.get('/charges', async (_req, res) => void res.json(await provider.charges()));
app.use((error: Error, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
  res.status(500).json({ error: error.message });
});

const server = app.listen(port, () => listening((server.address() as AddressInfo).port));
