import { Buffer } from 'node:buffer';
import { validateHeaderName, validateHeaderValue, type ServerResponse } from 'node:http';
import { isBodiless, type Answered } from '../exchange/answer.js';

/**
 * Throws for an answer that can't be written, before any part of it is written. Otherwise the error handler's answer would
 * contain a part of it.
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

/** Writes a replay or a problem. */
export function writeAnswer(res: ServerResponse, { status, headers, body }: Answered): void {
  res.statusCode = status;
  // A handler that failed may have set the length of another body.
  res.removeHeader('content-length');
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (isBodiless(status)) return void res.end();
  // As bytes, because Node writes the head in UTF-8 if a string follows. The head is written first, with the length as its last
  // header, because Node damages a `Content-Disposition` that is not ASCII if it comes after the length.
  const bytes = Buffer.from(body);
  res.setHeader('content-length', bytes.length);
  res.writeHead(status);
  if (bytes.length === 0) res.end();
  else res.end(bytes);
}
