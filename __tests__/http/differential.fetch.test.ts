import { createServer, connect, type ClientHttp2Session } from 'node:http2';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createAdaptorServer } from '@hono/node-server';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { exchange, expectReplay, FORMS } from './differential/client.js';
import { FETCH_CASES } from './differential/fetch-cases.js';
import { exchange2 } from './differential/http2-client.js';
import { listen } from './servers/listen.js';
import type { RunningServer } from './site.js';

// The server says on it that a stream broke, which some cases are about.
const spoken = jest.spyOn(console, 'error');
beforeAll(() => void spoken.mockImplementation(() => undefined));
afterAll(() => spoken.mockRestore());

const NAMES = Object.keys(FETCH_CASES);
const asking = (side: 'with' | 'bare', name: string, key: string) => {
  const { headers = {}, body } = FETCH_CASES[name]!;
  return { path: `/${side}/${NAMES.indexOf(name)}`, body, headers: { ...headers, 'Idempotency-Key': key } };
};

/** Every case twice, with us and without. */
async function fetchOf(request: Request): Promise<Response> {
  const [, side, at] = new URL(request.url).pathname.split('/');
  if (side === 'sentinel') return Response.json({ sentinel: true });
  const { handler } = Object.values(FETCH_CASES)[Number(at)]!;
  return side === 'with' ? protect(handler)(request) : handler(request);
}
const protect = fetchIdempotency({ store: new InMemoryStore(), scope: 'shared' });
let sent = 0;
/**
 * A stream of one piece goes out with its length, and one that breaks before its first byte breaks for the server before
 * it has sent anything (docs/http.md).
 */
const EXACT = NAMES.filter((name) => name !== 'the request echoed' && name !== 'an error in a stream');

// Responses of the platform. The server's own are looked at below.
const native = { fetch: fetchOf, overrideGlobalObjects: false } as const;

describe("fetch on Node's server, with us and without us", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await listen(createAdaptorServer(native) as Server);
  });
  afterAll(() => server.stop());

  test.each(EXACT)('%s', async (name) => {
    const inEachForm = FORMS.map(async (form) => {
      const [bare, ours] = await Promise.all([
        exchange(server.port, form, asking('bare', name, 'k')),
        exchange(server.port, form, asking('with', name, `k${sent++}`)),
      ]);
      expect({ form, got: ours }).toEqual({ form, got: bare });
    });
    await Promise.all(inEachForm);
    await expectReplay(server.port, asking('with', name, `k${sent++}`));
  });
});

describe("fetch on Node's server over HTTP/2, with us and without us", () => {
  let server: ReturnType<typeof createServer>;
  let client: ClientHttp2Session;
  beforeAll(async () => {
    server = createAdaptorServer({ ...native, createServer: createServer as never }) as never;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
  });
  afterAll(async () => {
    client.destroy();
    await new Promise((resolve) => void server.close(resolve));
  });

  // HTTP/2 has no reason phrase; and of a large text, Node 20.20 by itself sends only a part or freed memory: ours is whole.
  test.each(EXACT.filter((name) => !/^a reason phrase|^a large text/.test(name)))('%s', async (name) => {
    const bare = await exchange2(client, asking('bare', name, 'k'));
    const ours = await exchange2(client, asking('with', name, `k${sent++}`));
    expect(ours).toBe(bare);
  });
});

describe('the Response of @hono/node-server, with us and without us', () => {
  let server: RunningServer;
  const { Response: Platform, Request: PlatformRequest } = globalThis;
  beforeAll(async () => {
    server = await listen(createAdaptorServer({ fetch: fetchOf }) as Server);
  });
  afterAll(async () => {
    Object.assign(globalThis, { Response: Platform, Request: PlatformRequest });
    await server.stop();
  });

  // It writes one that nobody has looked at by a shorter way, which knows less of the standard's headers.
  test.each(EXACT)('%s', async (name) => {
    const bare = await exchange(server.port, 'HTTP/1.1', asking('bare', name, 'k'));
    const ours = await exchange(server.port, 'HTTP/1.1', asking('with', name, `k${sent++}`));
    expect(asStandard(ours)).toEqual(asStandard(bare));
  });
});

/** Names in lower case, in any order; without the length or the type that the server itself thinks of. */
function asStandard(answer: string): { head: string[]; body: string } {
  const at = answer.indexOf('\r\n\r\n');
  const head = answer.slice(0, at).split('\r\n');
  const isChunked = head.some((line) => /^transfer-encoding/i.test(line));
  const text = answer.slice(at + 4);
  const own = /^(content-length|transfer-encoding|content-type: (text\/plain; ?charset=utf-8|text\/css))/;
  return {
    head: head
      .map((line) => line.toLowerCase())
      .filter((line) => !own.test(line))
      .sort(),
    body: isChunked ? joined(text) : text,
  };
}

/** A body without its chunks. */
function joined(text: string): string {
  let body = '';
  for (let at = 0; ;) {
    const end = text.indexOf('\r\n', at);
    const size = end < 0 ? 0 : parseInt(text.slice(at, end), 16);
    if (!(size > 0)) return body;
    body += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
