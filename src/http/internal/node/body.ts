import type { IncomingMessage } from 'node:http';
import { UsageError } from '../../../core/errors.js';
import { BodyRefused } from '../problem/body-refused.js';

/**
 * The parsed body of a request of Node's HTTP server; undefined if it has none.
 * @throws UsageError INVALID_OPTIONS for JSON that was not parsed, because the app lacks a parser
 * @throws BodyRefused for another type that was not parsed: a client can send any type, so that is not an error of the server
 */
export function parsedBody(raw: IncomingMessage, body: unknown, remedy: string): unknown {
  const isAnnounced = announcesBody(raw);
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
