import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import express5, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
// @ts-expect-error Express 4 brings no types, and those installed are of 5
import express4 from 'express4';
import { expressIdempotency } from '../../src/http/express.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { exchange, expectReplay, FORMS } from './differential/client.js';
import { EXPRESS_CASES } from './differential/express-cases.js';
import { listen } from './servers/listen.js';
import type { RunningServer } from './site.js';

const NAMES = Object.keys(EXPRESS_CASES);
const pathOf = (side: 'with' | 'bare', name: string) => `/${side}/${NAMES.indexOf(name)}`;

/** Every case twice, with us and without. */
function appOf(express: typeof express5): Express {
  const app = express();
  app.set('env', 'test');
  app.use(express.json(), express.text(), express.urlencoded({ extended: false }), express.raw());
  app.post('/sentinel', (_req, res) => void res.json({ sentinel: true }));
  const protect = expressIdempotency({
    ...{ store: new InMemoryStore(), scope: 'shared', required: false },
    fingerprint: (req) => req.originalUrl,
  });
  for (const [name, { front, behind, handler }] of Object.entries(EXPRESS_CASES)) {
    const stack = (...ours: RequestHandler[]) =>
      [...(front?.() ?? []), ...ours, ...(behind?.() ?? []), handler] as RequestHandler[];
    app.post(pathOf('with', name), ...stack(protect as RequestHandler));
    app.post(pathOf('bare', name), ...stack());
  }
  // The stack of an error names our files.
  app.use(((error: Error, _req, _res, next) => {
    error.stack = String(error);
    next(error);
  }) as ErrorRequestHandler);
  return app;
}

const versions: [4 | 5, typeof express5][] = [
  [5, express5],
  [4, express4 as typeof express5],
];
describe.each(versions)('Express %i, with us and without us', (version, express) => {
  let server: RunningServer;
  let sent = 0;
  beforeAll(async () => {
    server = await listen(createServer(appOf(express)));
  });
  afterAll(() => server.stop());
  const names = NAMES.filter((name) => [version, undefined].includes(EXPRESS_CASES[name]?.only));

  test.each(names)('%s', async (name) => {
    const { headers = {}, body } = EXPRESS_CASES[name]!;
    const asking = (side: 'with' | 'bare', key: string) => ({
      ...{ path: pathOf(side, name), body },
      headers: { ...headers, 'Idempotency-Key': key },
    });
    const inEachForm = FORMS.map(async (form) => {
      const [bare, ours] = await Promise.all([
        exchange(server.port, form, asking('bare', 'k')),
        exchange(server.port, form, asking('with', `k${sent++}`)),
      ]);
      // 404 pages name the path.
      expect({ form, got: ours.replaceAll('/with/', '/bare/') }).toEqual({ form, got: bare });
    });
    await Promise.all(inEachForm);
    await expectReplay(server.port, asking('with', `k${sent++}`));
  });
});
