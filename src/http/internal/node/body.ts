import type { IncomingMessage } from 'node:http';
import { UsageError } from '../../../core/errors.js';
import { BodyRefused } from '../problem/body-refused.js';

/**
 * The parsed body of a request of Node's HTTP server; undefined if it has none.
 * @throws UsageError INVALID_OPTIONS for JSON that was not parsed, because the app lacks a parser
 * @throws BodyRefused for another type that was not parsed: a client can send any type, so that is not an error of the server
 */
export async function parsedBody(raw: IncomingMessage, body: unknown, remedy: string): Promise<unknown> {
  const isAnnounced = announcesBody(raw) && !((body ?? undefined) === undefined && (await endsAtOnce(raw)));
  // Some parsers set {} if there is no body, or if they do not parse its type.
  const isNothing = body === undefined || body === null || isEmptyObject(body);
  if (!isAnnounced && isNothing) return undefined;
  if (isMultipart(raw.headers['content-type'])) throw unsupportedBody('is multipart');
  const isUnread = isEmptyObject(body) && isAnnounced && !raw.readableDidRead;
  if (body !== undefined && !isUnread) return body;
  const what = `was not parsed: ${remedy}`;
  throw /^application\/json\b/i.test(raw.headers['content-type'] ?? '')
    ? unknownBody(what)
    : unsupportedBody(what);
}

/**
 * Whether the headers announce a body. A body may come without that: HTTP/2 needs no header for it, and requests that are made
 * inside the process often have none. A parsed body counts in any case.
 */
function announcesBody(raw: IncomingMessage): boolean {
  const { headers } = raw;
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) return true;
  const { stream } = raw as { stream?: { endAfterHeaders?: unknown } };
  return raw.httpVersionMajor === 2 && stream?.endAfterHeaders === false && headers['content-length'] !== '0';
}

/**
 * Whether a request of HTTP/2 that nobody reads ends without a byte: many clients end the stream behind the headers and not
 * with them, so that a body seems to come. What does come is left for the handler.
 */
async function endsAtOnce(raw: IncomingMessage): Promise<boolean> {
  if (raw.httpVersionMajor !== 2 || raw.readableDidRead || raw.readableLength > 0) return false;
  if (raw.readableEnded || raw.destroyed) return raw.readableEnded;
  return new Promise<boolean>((resolve) => {
    const known = (isKnown: boolean) => {
      clearTimeout(timer);
      for (const name of EVENTS) raw.off(name, told);
      // Node says "readable" at the end, too: then there is nothing to read.
      resolve(isKnown && raw.readableLength === 0);
    };
    const told = () => known(true);
    const timer = setTimeout(known, FIRST_BYTE_MS, false);
    for (const name of EVENTS) raw.once(name, told);
  });
}
const EVENTS = ['readable', 'end', 'close', 'error'] as const;
/** A client that sends neither a byte nor an end is waited for no longer: it counts as one with a body. */
const FIRST_BYTE_MS = 1_000;

export function isMultipart(contentType: string | null | undefined): boolean {
  return /^multipart\//i.test(contentType ?? '');
}

export const unknownBody = (what: string): UsageError => new UsageError('INVALID_OPTIONS', aboutBody(what));

export const unsupportedBody = (what: string): BodyRefused =>
  new BodyRefused('IDEMPOTENCY_BODY_UNSUPPORTED', aboutBody(what));

const aboutBody = (what: string): string =>
  `the request's body ${what}. The body shows whether a request is a retry: give fingerprint(request) to compare something else instead`;

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
