import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { steady, type Asked } from './client.js';

/** All that a client of HTTP/2 is told, as text, without what changes from one moment to the next. */
export async function exchange2(client: ClientHttp2Session, asked: Asked): Promise<string> {
  const { path, headers = {}, body = '{"amount":5}' } = asked;
  const stream = client.request({
    ...{ ':method': 'POST', ':path': path, 'content-type': 'application/json' },
    ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
  });
  const lines: string[] = [];
  const chunks: Buffer[] = [];
  const note = (what: string) => (_headers: object, _flags: number, raw?: string[]) => {
    const pairs = raw ?? Object.entries(_headers).flat().map(String);
    for (let at = 0; at < pairs.length; at += 2) lines.push(steady(`${what}${pairs[at]}: ${pairs[at + 1]}`));
  };
  stream.on('headers', note('informational '));
  stream.on('response', note('') as never);
  stream.on('trailers', note('trailer '));
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', (error: Error) => lines.push(`error ${error.message}`));
  stream.end(body);
  if (!stream.closed) await once(stream, 'close').catch(() => undefined);
  const ending = `reset ${stream.rstCode}`;
  return [...lines, Buffer.concat(chunks).toString('latin1'), ending].join('\n');
}
