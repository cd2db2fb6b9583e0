import { isIdempotencyError } from '../../../core/errors.js';
import type { Answered } from '../exchange/answer.js';
import { problemFacts, type ProblemCode, type ProblemDetails, type ProblemFacts } from './problem.js';
import { findProfile, type ProfileName } from './profile.js';
import { LEAST_RETRY_SECONDS } from '../exchange/retry-after.js';

/** A problem in your own format. */
export interface ProblemAnswer {
  /** @default the problem's own */
  status?: number;
  /** Added to, or replacing, the problem's headers: content type, `Cache-Control: no-store`, `Retry-After`. */
  headers?: Record<string, string>;
  /** A string is sent as it is, with the content type in your headers; anything else as JSON. */
  body: unknown;
}
/** Formats a problem in your own way. Undefined keeps the default format. */
export type ProblemForm = (code: ProblemCode, facts: ProblemFacts) => ProblemAnswer | undefined;

/** How problems are formatted. */
export interface ProblemOptions {
  /** @default problem+json (RFC 9457) with this library's codes */
  profile?: ProfileName | undefined;
  problem?: ProblemForm | undefined;
  /** Your page about these problems. @default docs/errors.md of this library */
  docs?: string | undefined;
}

/** The answer to a problem. @throws what `problem` throws */
export function answerTo(code: ProblemCode, details: ProblemDetails, options: ProblemOptions): Answered {
  const facts = problemFacts(code, { docs: options.docs, ...details });
  return withRetryAfter(shaped(facts, options.problem, findProfile(options.profile).form(facts)), facts);
}

function shaped(facts: ProblemFacts, form: ProblemForm | undefined, byDefault: Answered): Answered {
  const own = form?.(facts.code, facts);
  if (!own) return byDefault;
  const { status = byDefault.status, headers = {}, body } = own;
  const lowered = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
  return {
    status,
    headers: { ...byDefault.headers, 'content-type': type, ...lowered },
    body: typeof body === 'string' ? body : JSON.stringify(body ?? null),
  };
}

function withRetryAfter(answer: Answered, { retryAfterSeconds }: ProblemFacts): Answered {
  if (retryAfterSeconds === undefined) return answer;
  return { ...answer, headers: { 'retry-after': String(retryAfterSeconds), ...answer.headers } };
}

/**
 * The answer to an error of this library, for handlers that call `run()` or `transaction()` themselves: status, headers and body
 * as the adapters send them. INVALID_KEY becomes 400, because the key comes from the client. Undefined for any other error.
 *
 * @example
 * const problem = problemFor(error);
 * if (!problem) return next(error);
 * res.status(problem.status).set(problem.headers).send(problem.body);
 */
export function problemFor(
  error: unknown,
  options: ProblemOptions = {},
): { status: number; headers: Record<string, string>; body: string } | undefined {
  if (!isIdempotencyError(error)) return undefined;
  // The key that a handler gives to run() is the client's own.
  const code = error.code === 'INVALID_KEY' ? 'IDEMPOTENCY_KEY_INVALID' : error.code;
  const { retryable } = problemFacts(code, {});
  const details = retryable ? { retryAfterSeconds: LEAST_RETRY_SECONDS } : {};
  const { status, headers, body } = answerTo(code, details, options);
  return { status, headers: headers as Record<string, string>, body: String(body) };
}
