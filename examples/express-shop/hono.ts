/** The shop on Hono; the same handlers serve Bun, Deno and Next. */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { currentAttempt } from 'twiceshy';
import { fetchIdempotency } from 'twiceshy/fetch';
import { callerOf, listening, placeOrder, port, provider, rules, type Order } from './shop.js';

const idempotent = fetchIdempotency({
  ...rules,
  scope: (request) => callerOf(request.headers.get('x-api-key')),
});
const order = idempotent(async (request) => {
  const placed = await placeOrder((await request.json()) as Order, currentAttempt()!);
  return Response.json(placed, { status: 201 });
});

const app = new Hono();
app.post('/orders', (context) => order(context.req.raw));
app.get('/charges', async (context) => context.json(await provider.charges()));
app.onError((error, context) => context.json({ error: error.message }, 500));

serve({ fetch: app.fetch, port }, (info) => listening(info.port));
