import { Buffer } from 'node:buffer';
import { validateHeaderName, validateHeaderValue, type ServerResponse } from 'node:http';
import { isBodiless, type Answered } from '../exchange/answer.js';

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
  // A length may be there already, of another body, from a handler that failed.
  res.removeHeader('content-length');
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (isBodiless(status)) return void res.end();
  // Given as bytes, since Node writes the head in UTF-8 where a text follows. The head is written before the body, with the
  // length as its last header, since Node breaks a `Content-Disposition` beyond ASCII that comes after the length.
  const bytes = Buffer.from(body);
  res.setHeader('content-length', bytes.length);
  res.writeHead(status);
  if (bytes.length === 0) res.end();
  else res.end(bytes);
}
