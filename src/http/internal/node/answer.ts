import { validateHeaderName, validateHeaderValue, type ServerResponse } from 'node:http';
import { isBodiless, type Answered } from '../answer.js';

/**
 * Throws for an answer that can't be written, before anything of it is: half an answer would otherwise stand in what
 * the error handler says.
 */
export function checkAnswer({ status, headers }: Answered): void {
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    throw new RangeError(`an answer can't have the status ${String(status)}`);
  }
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderName(name);
    for (const each of [value].flat()) validateHeaderValue(name, each);
  }
}

/** Writes an answer of ours. */
export function writeAnswer(res: ServerResponse, { status, headers, body }: Answered): void {
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  // A length may be there already, of another body, from a handler that failed.
  if (isBodiless(status)) res.removeHeader('content-length');
  else res.setHeader('content-length', Buffer.byteLength(body));
  if (isBodiless(status) || body.length === 0) res.end();
  else res.end(body);
}
