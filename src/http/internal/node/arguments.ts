import { Buffer } from 'node:buffer';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

export type Callback = (error?: Error | null) => void;

/** The arguments of `write` and `end`: (chunk?, encoding?, callback?). Each may be left out. */
export function readArguments(args: readonly unknown[]): {
  chunk: unknown;
  encoding: BufferEncoding | undefined;
  callback: Callback | undefined;
} {
  const callback = args.find((arg) => typeof arg === 'function') as Callback | undefined;
  const [chunk, encoding] = args.filter((arg) => typeof arg !== 'function');
  return { chunk, encoding: (encoding ?? undefined) as BufferEncoding | undefined, callback };
}

/** The bytes of a chunk; undefined if it is not a chunk that can be written. */
export function toBytes(chunk: unknown, encoding: BufferEncoding | undefined): Buffer | undefined {
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding);
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return undefined;
}

/** Headers in any form that writeHead accepts, by lower-case name. */
export function namedHeaders(given: unknown): OutgoingHttpHeaders {
  if (given === undefined) return {};
  const pairs: [string, OutgoingHttpHeaders[string]][] = [];
  if (Array.isArray(given)) {
    const flat = given.flat() as string[];
    for (let at = 0; at < flat.length; at += 2) pairs.push([flat[at]!, flat[at + 1]]);
  } else pairs.push(...Object.entries(given as OutgoingHttpHeaders));
  return Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
}

/** Headers whose bytes, which are Latin-1 to whoever reads them, are the UTF-8 of these. */
export function asSent<H extends Readonly<Record<string, string | readonly string[]>>>(headers: H): H {
  const sent = (text: string) => (/[^\x00-\x7f]/.test(text) ? Buffer.from(text).toString('latin1') : text);
  const pairs = Object.entries(headers).map(([name, value]) => [
    name,
    typeof value === 'string' ? sent(value) : value.map(sent),
  ]);
  return Object.fromEntries(pairs) as H;
}

export interface Originals {
  readonly write: (...args: unknown[]) => boolean;
  readonly end: (...args: unknown[]) => ServerResponse;
  readonly writeHead: (...args: unknown[]) => ServerResponse;
  readonly destroy: (...args: unknown[]) => ServerResponse;
}

export function originalMethods(res: ServerResponse): Originals {
  const { write, end, writeHead, destroy } = res as unknown as Originals;
  const bound = <R>(method: (...args: unknown[]) => R): ((...args: unknown[]) => R) => method.bind(res);
  return { write: bound(write), end: bound(end), writeHead: bound(writeHead), destroy: bound(destroy) };
}

/** Refuses a write after the end. Node would emit an error, which ends the process if nothing listens. */
export function refuseLate(callback: Callback | undefined): false {
  if (callback) process.nextTick(callback, new Error('write after end'));
  return false;
}
