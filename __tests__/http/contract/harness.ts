import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach } from '@jest/globals';
import { FaultyStore } from '../../../src/testing/faulty-store.js';
import { createIdempotency, type Idempotency } from '../../../src/idempotency/idempotency.js';
import { InMemoryStore } from '../../../src/stores/memory/store.js';
import type { Handler, Route, RunningServer, SiteOptions, StartServer } from '../site.js';

/** What a client got. */
export interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
  readonly json: Record<string, unknown>;
  readonly isReplay: boolean;
}

export interface Sent {
  /** The header as it is; without one, none is sent. */
  readonly key?: string | undefined;
  readonly body?: unknown;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

/** One server with one route, `POST /orders`, unless told otherwise. */
export interface Shop {
  readonly server: RunningServer;
  readonly store: FaultyStore;
  readonly idempotency: Idempotency;
  /** How often the handlers ran. */
  runs(): number;
  send(sent?: Sent): Promise<Got>;
}

export interface Plan {
  readonly handler?: Handler;
  readonly routes?: readonly Route[];
  readonly options?: SiteOptions;
  /** Shared by several servers. */
  readonly on?: InMemoryStore;
}

export type OpenShop = (plan?: Plan) => Promise<Shop>;

/** Opens shops on servers of one framework; they are closed after each test. */
export function shopsOn(start: StartServer): OpenShop {
  const open: Shop[] = [];
  afterEach(async () => {
    for (const { server, store, idempotency } of open.splice(0)) {
      store.heal();
      await server.stop();
      await idempotency.close();
    }
  });
  return async ({ handler = () => ({ status: 201, body: '{}' }), routes, options = {}, on } = {}) => {
    let runs = 0;
    const store = new FaultyStore(on ?? new InMemoryStore());
    const idempotency = createIdempotency({ name: 'run', store, logger: {} });
    const counted =
      (each: Handler): Handler =>
      (call) => {
        runs++;
        return each(call);
      };
    const listed = routes ?? [{ method: 'POST', path: '/orders', handler }];
    const server = await start({
      options: { idempotency, ...options },
      routes: listed.map((route) => ({ ...route, handler: counted(route.handler) })),
    });
    const shop = {
      server,
      store,
      idempotency,
      runs: () => runs,
      send: (sent?: Sent) => send(server.url, sent),
    };
    open.push(shop);
    return shop;
  };
}

export async function send(url: string, sent: Sent = {}): Promise<Got> {
  const { key, body = { amount: 5 }, path = '/orders', method = 'POST', headers = {} } = sent;
  const isBinary = body instanceof Uint8Array;
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(method !== 'GET' && { 'content-type': isBinary ? 'application/octet-stream' : 'application/json' }),
      ...headers,
    },
    ...(method !== 'GET' && { body: isBinary ? Buffer.from(body) : JSON.stringify(body) }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString();
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    text,
    get json() {
      return JSON.parse(text) as Record<string, unknown>;
    },
    isReplay: response.headers.get('idempotency-replayed') === 'true',
  };
}

/** A client without manners: it writes bytes, and leaves when it likes. */
export interface RawClient {
  readonly socket: Socket;
  /** All that came so far. */
  received(): Buffer;
  /** Waits until what came matches. */
  until(pattern: RegExp): Promise<string>;
  /** Waits until the server has closed the connection. */
  closed(): Promise<string>;
  leave(): void;
}

export async function rawPost(
  port: number,
  lines: readonly string[],
  body = '{"amount":5}',
  method = 'POST',
): Promise<RawClient> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const parts: Buffer[] = [];
  const received = () => Buffer.concat(parts);
  socket.on('data', (chunk: Buffer) => parts.push(chunk));
  // A reset is an end like any other.
  socket.on('error', () => undefined);
  const head = [
    `${method} /orders HTTP/1.1`,
    'Host: test',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
  ];
  socket.write([...head, ...lines, '', body].join('\r\n'));
  return {
    socket,
    received,
    async until(pattern) {
      while (!pattern.test(received().toString('latin1'))) {
        if (socket.destroyed)
          throw new Error(`closed after ${JSON.stringify(received().toString('latin1'))}`);
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      }
      return received().toString('latin1');
    },
    async closed() {
      if (!socket.closed) await once(socket, 'close');
      return received().toString('latin1');
    },
    leave: () => void socket.destroy(),
  };
}

const GIVE_UP_MS = 10_000;

/** Waits for a condition that no event tells of. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  while (!(await holds())) {
    if (performance.now() > giveUpAt)
      throw new Error(`still not after ${GIVE_UP_MS} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
