import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { expect } from '@jest/globals';
import { headerFilter } from '../../../src/http/internal/exchange/answer.js';

export interface Asked {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
}

/** The forms in which HTTP/1 asks. */
export const FORMS = ['HTTP/1.0', 'HTTP/1.1', 'pipelined', 'chunked', 'kept alive'] as const;
export type Form = (typeof FORMS)[number];

/** All bytes that the server sends, as text, without what changes from one moment to the next. */
export async function exchange(port: number, form: Form, asked: Asked): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const parts: Buffer[] = [];
  const received = () => Buffer.concat(parts).toString('latin1');
  socket.on('data', (chunk: Buffer) => parts.push(chunk));
  // A reset is an end like any other.
  socket.on('error', () => undefined);
  const next = errorMessage('HTTP/1.1', { path: '/sentinel' }, true);
  const isFollowed = form === 'pipelined' || form === 'kept alive';
  socket.write(errorMessage(form, asked, !isFollowed));
  if (form === 'pipelined') socket.write(next);
  if (form === 'kept alive') {
    await happens(socket, 'data', 'close');
    socket.write(next);
  }
  if (!socket.closed) await happens(socket, 'close');
  return steady(received());
}

/** As `once`, but for an error, which an end follows. */
function happens(socket: Socket, ...events: string[]): Promise<void> {
  return new Promise((resolve) => events.forEach((event) => socket.once(event, () => resolve())));
}

function errorMessage(
  form: Form,
  { path, headers = {}, body = '{"amount":5}' }: Asked,
  isLast: boolean,
): string {
  const bytes = Buffer.from(body);
  const isChunked = form === 'chunked';
  const lines = [
    `POST ${path} HTTP/${form === 'HTTP/1.0' ? '1.0' : '1.1'}`,
    'Host: shop.example',
    ...Object.entries({ 'Content-Type': 'application/json', ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    ),
    isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes.length}`,
    ...(isLast && form !== 'HTTP/1.0' ? ['Connection: close'] : []),
  ];
  const text = isChunked ? `${bytes.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
  return `${lines.join('\r\n')}\r\n\r\n${text}`;
}

export function steady(text: string): string {
  return text
    .replaceAll(/^(date): .*$/gim, '$1: now')
    .replaceAll(/^(x-response-time): .*$/gim, '$1: soon')
    .replaceAll(/(expires=)[^;\r\n]*/gi, '$1then')
    .replaceAll(/(key ")[\w-]+(")/g, '$1$2');
}

export interface Told {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** One answer, taken apart. Rejects when the connection breaks. */
function ask(port: number, { path, headers = {}, body = '{"amount":5}' }: Asked): Promise<Told> {
  return new Promise((resolve, reject) => {
    const sent = request({
      ...{ port, path, host: '127.0.0.1', method: 'POST', agent: false },
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers },
    });
    sent.on('error', reject).on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject).on('end', () => {
        const told = Object.entries(response.headers).map(([name, value]): [string, string] => [
          name,
          steady(`${name}: ${String(value)}`),
        ]);
        const { 'content-encoding': coding } = response.headers;
        const bytes = coding === 'gzip' ? gunzipSync(Buffer.concat(chunks)) : Buffer.concat(chunks);
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(told),
          body: bytes.toString('latin1'),
        });
      });
    });
    sent.end(body);
  });
}

const keeps = headerFilter([]);
/** What a replay may lack (docs/http.md, "What a replay does not have"): all but the safe list and the framing. */
function isReplayed(name: string): boolean {
  // A middleware in front compresses anew, and it knows the length of a replay.
  return keeps(name) && !['cache-control', 'content-encoding'].includes(name);
}

/** Node 20 breaks a file name beyond ASCII where it knows the length before: each such character becomes `ý`. */
const isMended = (name: string, first: string, replay = ''): boolean =>
  name === 'content-disposition' && replay.replaceAll(/[\u0080-\u00ff]/g, 'ý') === first;

/**
 * In which ways a replay is not the first answer, but for those that are documented; its body is decoded.
 * @param setAnew what a replay may gain: headers that a plugin in front sets, and that the handler left out of its answer
 */
function differences(first: Told, replay: Told, setAnew: readonly string[] = []): string[] {
  const found: string[] = [];
  if (first.status !== replay.status) found.push(`status ${first.status} -> ${replay.status}`);
  if (first.body !== replay.body)
    found.push(`body ${first.body.slice(0, 80)} -> ${replay.body.slice(0, 80)}`);
  if (replay.headers['idempotency-replayed'] === undefined) found.push('not a replay');
  for (const [name, value] of Object.entries(first.headers)) {
    // Some servers say what type no bytes have.
    if (name === 'content-type' && first.body === '') continue;
    if (isReplayed(name) && replay.headers[name] !== value && !isMended(name, value, replay.headers[name]))
      found.push(`${value} -> ${replay.headers[name] ?? 'nothing'}`);
  }
  for (const [name, value] of Object.entries(replay.headers)) {
    if (isReplayed(name) && first.headers[name] === undefined && !setAnew.includes(name))
      found.push(`added ${value}`);
  }
  const isPrivate = /no-store|private/.test(replay.headers['cache-control'] ?? '');
  const isSame = replay.headers['cache-control'] === first.headers['cache-control'];
  if (!isSame && !(isPrivate && first.headers['set-cookie'] !== undefined))
    found.push(`caching ${first.headers['cache-control']} -> ${replay.headers['cache-control']}`);
  return found;
}

/** The second answer under a key is the first one, but for what is documented; or the handler ran again. */
export async function expectReplay(port: number, asked: Asked, setAnew?: readonly string[]): Promise<void> {
  const [first, again] = [await ask(port, asked).catch(broken), await ask(port, asked).catch(broken)];
  const isRemembered = first.status > 0 && first.status < 500 && first.status !== 429;
  const wasProtected = again.headers['idempotency-replayed'] !== undefined;
  // What no client can read is well-formed when it is replayed.
  if (first.status === 0 && again.status > 0) return;
  if (isRemembered && wasProtected) expect(differences(first, again, setAnew)).toEqual([]);
  // Not remembered, or answered before us: the second one ran as the first one did.
  else expect({ ...again, headers: undefined }).toEqual({ ...first, headers: undefined });
}

const broken = () => ({ status: 0, headers: {} as Record<string, string>, body: '' });
