import type { IncomingMessage } from 'node:http';
import { UsageError } from '../../core/errors.js';

/**
 * The parsed body of a request of Node's HTTP server; undefined when it has none.
 * @throws UsageError INVALID_OPTIONS when there is a body and nobody has parsed it: nothing would be compared
 */
export function parsedBody(raw: IncomingMessage, body: unknown, remedy: string): unknown {
  const { headers } = raw;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!hasBody) return undefined;
  if (isMultipart(headers['content-type'])) throw unknownBody('is multipart');
  // Some parsers leave {} for what they do not parse.
  const isUnread = !raw.readableDidRead && isEmptyObject(body);
  if (body === undefined || isUnread) throw unknownBody(`was not parsed: ${remedy}`);
  return body;
}

export function isMultipart(contentType: string | null | undefined): boolean {
  return /^multipart\//i.test(contentType ?? '');
}

export function unknownBody(what: string): UsageError {
  return new UsageError(
    'INVALID_OPTIONS',
    `the request's body ${what}. A retry is told from another request by its body: give fingerprint(request) to say what counts instead`,
  );
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
