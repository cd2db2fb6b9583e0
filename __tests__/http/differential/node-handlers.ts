import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { onHeaders } from './middlewares.js';

export type NodeHandler = (req: IncomingMessage, res: ServerResponse) => unknown;
export const FILE = fileURLToPath(new URL('../site.ts', import.meta.url));
const later = () => new Promise<void>((resolve) => setImmediate(resolve));
const LARGE = 'grüße '.repeat(50_000);

function caught(act: () => unknown): void {
  try {
    act();
  } catch {
    // It is thrown without us as well.
  }
}

/** What HTTP over Node alone can answer, however oddly. They stand in Express and in Fastify. */
export const NODE_HANDLERS: Readonly<Record<string, NodeHandler>> = {
  'end with text': (_, res) => res.end('text'),
  'end with bytes': (_, res) => res.end(Buffer.of(0, 255, 1)),
  'end with a view': (_, res) => res.end(new Uint8Array([1, 2, 3]).subarray(1)),
  'end with nothing': (_, res) => res.end(),
  'end with an empty text': (_, res) => res.end(''),
  'end with null': (_, res) => res.end(null),
  'end in latin1': (_, res) => res.end('grüße', 'latin1'),
  'end in base64': (_, res) => res.end('AAEC', 'base64'),
  'end in hex': (_, res) => res.end('00ff', 'hex'),
  'end in utf16le': (_, res) => res.end('ab', 'utf16le'),
  'end with a callback': (_, res) => res.end('x', () => undefined),
  'end with a callback alone': (_, res) => res.end(() => undefined),
  'write and end': (_, res) => (res.write('a'), res.end('b')),
  'write and end with nothing': (_, res) => (res.write('a'), res.end()),
  'write and end with an empty text': (_, res) => (res.write('a'), res.write('b'), res.end('')),
  'write in several encodings': (_, res) => (
    res.write('ä', 'latin1'),
    res.write('AAEC', 'base64'),
    res.write(Buffer.of(7)),
    res.end('ü', 'utf8')
  ),
  'write nothing': (_, res) => (res.write(''), res.end('x')),
  'write with callbacks': (_, res) => res.write('a', () => res.write('b', () => res.end('c'))),
  'write over several turns': async (_, res) => {
    for (const part of ['one,', 'two,', 'three']) {
      res.write(part);
      await later();
    }
    res.end();
  },
  'a length, and several writes': (_, res) => (
    res.setHeader('Content-Length', 6),
    res.write('ab'),
    res.write('cd'),
    res.end('ef')
  ),
  'a length, and an end of its own': (_, res) => (
    res.setHeader('Content-Length', '6'),
    res.write('abc'),
    res.write('def'),
    res.end()
  ),
  'a length in writeHead': (_, res) => (
    res.writeHead(201, { 'Content-Length': 2 }),
    res.write('ab'),
    res.end()
  ),
  'a length over several turns': async (_, res) => {
    res.writeHead(200, { 'content-length': 4 });
    res.write('ab');
    await later();
    res.write('cd');
    await later();
    res.end();
  },
  'a length of nothing': (_, res) => (res.setHeader('Content-Length', 0), res.end()),
  'a length that is exceeded': (_, res) => (
    res.setHeader('Content-Length', 2),
    res.write('abc'),
    res.end('def')
  ),
  'a length that is not reached': (_, res) => (
    res.writeHead(200, { 'Content-Length': 9, Connection: 'close' }),
    res.end('abc')
  ),
  'a strict length that is not kept': (_, res) => {
    res.strictContentLength = true;
    res.setHeader('Content-Length', 2);
    caught(() => res.end('abc'));
    res.strictContentLength = false;
    if (!res.writableEnded) res.end();
  },
  '204': (_, res) => ((res.statusCode = 204), res.end()),
  '204 by writeHead': (_, res) => res.writeHead(204, { 'X-A': 'b' }).end(),
  '204 with a body': (_, res) => ((res.statusCode = 204), res.end('never')),
  '204, flushed': async (_, res) => {
    res.writeHead(204).flushHeaders();
    await later();
    res.end();
  },
  '205': (_, res) => ((res.statusCode = 205), res.end()),
  '304': (_, res) => res.writeHead(304, { ETag: '"a"' }).end(),
  '299': (_, res) => ((res.statusCode = 299), res.end('odd')),
  '402': (_, res) => ((res.statusCode = 402), res.end('no funds')),
  '404': (_, res) => ((res.statusCode = 404), res.end('none')),
  '429': (_, res) => res.writeHead(429, { 'Retry-After': '3' }).end('slow down'),
  '500': (_, res) => ((res.statusCode = 500), res.end('broken')),
  '503': (_, res) => res.writeHead(503, { 'Retry-After': 1 }).end(),
  'a reason phrase': (_, res) => ((res.statusMessage = 'Quite Fine'), res.end('x')),
  'a reason phrase in writeHead': (_, res) => res.writeHead(201, 'Made', { 'X-A': '1' }).end('x'),
  'headers in a list': (_, res) => res.writeHead(200, ['X-B', '1', 'X-A', '2', 'X-B', '3']).end('x'),
  'headers set and given': (_, res) => (
    res.setHeader('X-Set', 'a'),
    res.setHeader('Content-Type', 'text/html'),
    res.writeHead(200, { 'Content-Type': 'text/plain', 'X-Given': 'b' }),
    res.end('x')
  ),
  'headers in odd case': (_, res) => (
    res.setHeader('x-MiXed', 'a'),
    res.setHeader('ETAG', 'W/"x"'),
    res.end('x')
  ),
  'several cookies': (_, res) => (res.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2']), res.end('x')),
  'an appended header': (_, res) => (
    res.setHeader('Link', '</a>; rel=next'),
    res.appendHeader('Link', '</b>; rel=prev'),
    res.end('x')
  ),
  'a header that was removed': (_, res) => (res.setHeader('X-A', '1'), res.removeHeader('x-a'), res.end('x')),
  'no date': (_, res) => ((res.sendDate = false), res.end('x')),
  'connection: close': (_, res) => (res.setHeader('Connection', 'close'), res.end('x')),
  'chunked by name': (_, res) => (res.setHeader('Transfer-Encoding', 'chunked'), res.end('x')),
  'no length': (_, res) => (
    res.setHeader('Content-Length', 1),
    res.removeHeader('Content-Length'),
    res.end('x')
  ),
  'an early writeHead': async (_, res) => {
    res.writeHead(201, { 'Content-Type': 'text/plain' });
    await later();
    res.end('later');
  },
  'flushed headers': async (_, res) => {
    res.setHeader('X-A', '1');
    res.flushHeaders();
    await later();
    res.end('later');
  },
  'flushed headers with a length': async (_, res) => {
    res.setHeader('Content-Length', 5);
    res.flushHeaders();
    await later();
    res.end('later');
  },
  trailers: (req, res) => {
    if (req.httpVersion === '1.0') return res.end('no trailers');
    res.writeHead(200, { Trailer: 'X-Sum' });
    res.write('body');
    res.addTrailers({ 'X-Sum': '4' });
    res.end();
  },
  'trailers with an end': (req, res) => {
    if (req.httpVersion === '1.0') return res.end('no trailers');
    res.setHeader('Trailer', 'X-Sum');
    res.write('bo');
    res.addTrailers({ 'X-Sum': '4' });
    res.end('dy');
  },
  'early hints': (req, res) => {
    if (req.httpVersion !== '1.0') res.writeEarlyHints({ link: '</a.css>; rel=preload' });
    res.end('x');
  },
  'a pipe of texts': (_, res) => Readable.from(['a', 'b', 'ü']).pipe(res),
  'a pipe of bytes': (_, res) => Readable.from([Buffer.of(1), Buffer.of(2, 3)]).pipe(res),
  'a file name beyond ASCII': (_, res) => {
    res.setHeader('Content-Disposition', 'attachment; filename="Rechnung ä.pdf"');
    Readable.from(['pdf']).pipe(res);
  },
  // Node writes the head in UTF-8 where a text follows, and else in Latin-1.
  'a header beyond ASCII, and a text': (_, res) => (res.setHeader('Link', '</ä>'), res.end('text')),
  'a header beyond ASCII, and a text in latin1': (_, res) => (
    res.setHeader('Link', '</ä>'),
    res.end('text', 'latin1')
  ),
  'a header beyond ASCII, and bytes': (_, res) => (
    res.setHeader('Link', '</ä>'),
    res.end(Buffer.from('text'))
  ),
  'a header beyond ASCII in writeHead': (_, res) => (res.writeHead(200, { Link: '</ä>' }), res.end('text')),
  'a header beyond ASCII, sent alone': async (_, res) => {
    res.setHeader('Link', ['</ä>', '</b>']);
    res.flushHeaders();
    await later();
    res.end('text');
  },
  'a header beyond ASCII, a length, and a text that is written': (_, res) => (
    res.setHeader('Link', '</ä>'),
    res.setHeader('Content-Length', 4),
    res.write('text'),
    res.end()
  ),
  'a header beyond ASCII, a length, and one letter': (_, res) => (
    res.setHeader('Link', '</ä>'),
    res.setHeader('Content-Length', 1),
    res.write('t'),
    res.end()
  ),
  'a pipeline': (_, res) => pipeline(Readable.from(['first,', 'second,', 'third']), res),
  'a pipeline with a length': (_, res) => {
    res.setHeader('Content-Length', 19);
    return pipeline(Readable.from(['first,', 'second,', 'third.']), res);
  },
  'a file': (_, res) => createReadStream(FILE).pipe(res),
  'a part of a file': (_, res) => {
    res.writeHead(206, { 'Content-Range': 'bytes 0-9/4000', 'Accept-Ranges': 'bytes', 'Content-Length': 10 });
    createReadStream(FILE, { start: 0, end: 9 }).pipe(res);
  },
  'a generator': (_, res) => {
    const parts = async function* () {
      yield 'one,';
      await later();
      yield 'two';
    };
    Readable.from(parts()).pipe(res);
  },
  'server-sent events': async (_, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    for (let at = 0; at < 3; at++) {
      res.write(`data: ${at}\n\n`);
      await later();
    }
    res.end();
  },
  'a large body': (_, res) => res.end(LARGE),
  'a large body in latin1': (_, res) => res.end(LARGE, 'latin1'),
  'a large body with backpressure': async (_, res) => {
    const chunk = Buffer.alloc(20_000, 'x');
    for (let at = 0; at < 12; at++) {
      if (!res.write(chunk)) await new Promise<void>((resolve) => res.once('drain', resolve));
    }
    res.end();
  },
  'corked writes': (_, res) => (res.cork(), res.write('a'), res.write('b'), res.uncork(), res.end('c')),
  'corked until the end': (_, res) => (res.cork(), res.write('a'), res.end('b')),
  'two ends': (_, res) => (res.end('x'), res.end()),
  'a header after the end': (_, res) => (res.end('x'), caught(() => res.setHeader('x-late', '1'))),
  'a status after the end': (_, res) => (res.end('x'), (res.statusCode = 500)),
  'a second head': (_, res) => (res.writeHead(201), caught(() => res.writeHead(500)), res.end('x')),
  'a header that HTTP can not carry': (_, res) => {
    caught(() => res.setHeader('x-name', 'O’Neill'));
    res.end('x');
  },
  'a head that HTTP can not carry, then another one': (_, res) => {
    try {
      res.writeHead(201, { 'X-Name': 'O’Neill', 'Content-Type': 'text/plain' });
    } catch {
      res.writeHead(500, { 'Content-Type': 'application/json' });
    }
    res.end('{}');
  },
  'a status that is none, then another one': (_, res) => {
    res.statusCode = 2000;
    try {
      res.end('never');
    } catch {
      res.statusCode = 500;
      res.end('broken');
    }
  },
  'a chunk that is none, then another one': (_, res) => {
    caught(() => res.write({}));
    caught(() => res.end({} as never));
    if (!res.writableEnded) res.end('x');
  },
  'a listener of finish': (_, res) => (res.on('finish', () => res.removeAllListeners('x')), res.end('x')),
  'a listener of close': (_, res) => (res.on('close', () => undefined), res.end('x')),
  'headers at the last moment': (_, res) => {
    onHeaders(res, () => res.setHeader('X-Last', 'yes'));
    res.end('x');
  },
  'a status at the last moment': (_, res) => {
    onHeaders(res, () => (res.statusCode = 202));
    res.end('x');
  },
  'its own end': (_, res) => {
    const end = res.end.bind(res) as (chunk: string) => ServerResponse;
    res.end = ((chunk: string) => (res.setHeader('X-Ended', '1'), end(`[${chunk}]`))) as never;
    res.end('x');
  },
  'its own write': (_, res) => {
    const write = res.write.bind(res) as (chunk: string) => boolean;
    res.write = ((chunk: string) => write(`<${chunk}>`)) as never;
    res.write('a');
    res.end('b');
  },
  'its own writeHead': (_, res) => {
    const writeHead = res.writeHead.bind(res);
    res.writeHead = (status: number) => writeHead(status + 1, { 'X-Own': '1' });
    res.end('x');
  },
  'a connection that it destroys': (req) => req.socket.destroy(),
  'a response that it destroys': (_, res) => res.destroy(),
  'a response that it destroys on the way': async (_, res) => {
    res.write('half');
    await later();
    res.destroy();
  },
};
