import type * as Zlib from 'node:zlib';
import type { Answered } from './answer.js';

// Only its type: who never meets a compressed answer need not have it.
type Decoder = (zlib: typeof Zlib, bytes: Uint8Array) => Uint8Array;

/** More than any answer that was kept is likely to hold: a bound for what a few bytes may be made into. */
const LIMIT = { maxOutputLength: 64 * 1024 * 1024 };
const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: (zlib, bytes) => zlib.gunzipSync(bytes, LIMIT),
  'x-gzip': (zlib, bytes) => zlib.gunzipSync(bytes, LIMIT),
  deflate: (zlib, bytes) => zlib.inflateSync(bytes, LIMIT),
  br: (zlib, bytes) => zlib.brotliDecompressSync(bytes, LIMIT),
};

/**
 * The answer in a form that this client takes. A compressed body belongs to the exchange with the client that asked for
 * it; another one that refuses the coding gets the plain bytes. What can't be decoded here stays as it is.
 * @param acceptEncoding of this request
 */
export async function codedFor(answer: Answered, acceptEncoding: string | undefined): Promise<Answered> {
  const { headers, body } = answer;
  const coding = String(headers['content-encoding'] ?? '')
    .trim()
    .toLowerCase();
  const decode = DECODERS[coding];
  if (!decode || accepts(acceptEncoding, coding)) return answer;
  try {
    const zlib = await import('node:zlib');
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
    const plain: Record<string, string | readonly string[]> = { ...headers };
    delete plain['content-encoding'];
    // The bytes are others, so that these are not true of them.
    delete plain['content-digest'];
    const { etag } = plain;
    if (typeof etag === 'string' && !etag.startsWith('W/')) plain['etag'] = `W/${etag}`;
    return { ...answer, headers: plain, body: decode(zlib, bytes) };
  } catch {
    return answer;
  }
}

/** RFC 9110, 12.5.3: without the header, any coding is taken. */
function accepts(header: string | undefined, coding: string): boolean {
  if (header === undefined) return true;
  const names = coding === 'x-gzip' || coding === 'gzip' ? ['gzip', 'x-gzip'] : [coding];
  const listed = header.split(',').map((part) => {
    const [name = '', ...parameters] = part.split(';').map((each) => each.trim().toLowerCase());
    const quality = parameters.find((each) => each.startsWith('q='));
    return { name, isRefused: quality !== undefined && !(Number(quality.slice(2)) > 0) };
  });
  const found = listed.find(({ name }) => names.includes(name)) ?? listed.find(({ name }) => name === '*');
  return found !== undefined && !found.isRefused;
}
