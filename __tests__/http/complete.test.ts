import { afterAll, beforeAll, describe, jest } from '@jest/globals';
import express5 from 'express';
// @ts-expect-error Express 4 brings no types, and those installed are of 5
import express4 from 'express4';
import { describeComplete } from './contract/complete.js';
import { shopsOn } from './contract/harness.js';
import { startExpress } from './servers/express.js';
import { startFastify } from './servers/fastify.js';
import { startFetch, startHono } from './servers/fetch.js';
import type { StartServer } from './site.js';

// The server of fetch says on it that a stream broke.
const spoken = jest.spyOn(console, 'error');
beforeAll(() => void spoken.mockImplementation(() => undefined));
afterAll(() => spoken.mockRestore());

const servers: [string, StartServer][] = [
  ['Express 5', startExpress(express5)],
  ['Express 4', startExpress(express4 as typeof express5)],
  ['Fastify 5', startFastify],
  ['fetch', startFetch],
  ['Hono', startHono],
];
describe.each(servers)('%s', (_name, start) => describeComplete(shopsOn(start)));
