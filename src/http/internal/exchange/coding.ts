import type * as Zlib from 'node:zlib';
import type { Answered } from './answer.js';

// Only the type: the module is loaded when a compressed answer has to be decoded.
type Decoder = (zlib: typeof Zlib, bytes: Uint8Array) => Uint8Array;

/** Larger than any recorded answer is likely to be. Protects against a small body that decompresses to a huge one. */
const LIMIT = { maxOutputLength: 64 * 1024 * 1024 };
const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: (zlib, bytes) => zlib.gunzipSync(bytes, LIMIT),
  'x-gzip': (zlib, bytes) => zlib.gunzipSync(bytes, LIMIT),
  deflate: (zlib, bytes) => zlib.inflateSync(bytes, LIMIT),
  br: (zlib, bytes) => zlib.brotliDecompressSync(bytes, LIMIT),
};

/**
 * The answer in a content coding that this client accepts. A recorded body may be compressed for the first client; a client that
 * refuses that coding gets the plain bytes. A body that can't be decoded here is sent as it is.
 * @param acceptEncoding the header of this request
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
    // The digest and the strong ETag are wrong for the plain bytes.
    delete plain['content-digest'];
    const { etag } = plain;
    if (typeof etag === 'string' && !etag.startsWith('W/')) plain['etag'] = `W/${etag}`;
    return { ...answer, headers: plain, body: decode(zlib, bytes) };
  } catch {
    return answer;
  }
}

/** RFC 9110, 12.5.3: without the header, every coding is accepted. */
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
