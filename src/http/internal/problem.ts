import type { ErrorCode } from '../../core/errors.js';
import type { Answered } from './answer.js';

interface ProblemKind {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
}

/** Every problem, with its status. The codes are stable: clients tell problems apart by them. */
const PROBLEMS = {
  IDEMPOTENCY_KEY_MISSING: {
    status: 400,
    title: 'The idempotency key is missing',
    detail:
      'This operation needs an idempotency key: send one that is unique to it, and the same one in every retry.',
  },
  IDEMPOTENCY_KEY_INVALID: {
    status: 400,
    title: 'The idempotency key is malformed',
    detail: 'The idempotency key cannot be read',
  },
  IDEMPOTENCY_SCOPE_MISSING: {
    status: 403,
    title: 'The caller is not known',
    detail: 'Idempotency keys belong to a caller, and this request does not say whose it is.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    title: 'The request is too large to be compared',
    detail:
      'The body holds too many values, or is nested too deep, to be told from that of another request. Nothing was processed.',
  },
  KEY_REUSED: {
    status: 422,
    title: 'The idempotency key was used for another request',
    detail: 'The first request under this key was another one: use a new key for a new operation.',
  },
  CONCURRENT_REQUEST: {
    status: 409,
    title: 'The first request is still being processed',
    detail: 'A request under this key is being processed right now: retry later, under the same key.',
  },
  DUPLICATE_EXECUTION: {
    status: 409,
    title: 'The request was processed before',
    detail: 'A request under this key was processed before.',
  },
  IDEMPOTENCY_TIMEOUT: {
    status: 409,
    title: 'The first request is still being processed',
    detail: 'A request under this key was waited for, and has not ended: retry later, under the same key.',
  },
  IN_DOUBT: {
    status: 409,
    title: 'The outcome of the first request is not known',
    detail:
      'An earlier request under this key ended without an outcome, and a person must look: retrying will not help.',
  },
  RESULT_UNAVAILABLE: {
    status: 409,
    title: 'The first answer is not available any more',
    detail:
      'The request under this key was processed, and its answer was not kept: it was too large to be replayed.',
  },
  LEASE_LOST: {
    status: 503,
    title: 'The outcome could not be recorded',
    detail: 'The request was interrupted, and its outcome is not known yet: retry under the same key.',
  },
  STORE_UNAVAILABLE: {
    status: 503,
    title: 'Idempotency keys cannot be checked right now',
    detail: 'Nothing was processed: retry later, under the same key.',
  },
  RECORD_TOO_NEW: {
    status: 503,
    title: 'The recorded answer cannot be read by this server',
    detail:
      'A newer server wrote the record of this key: nothing was processed; retry later, under the same key.',
  },
  CORRUPT_RECORD: {
    status: 500,
    title: 'The recorded answer cannot be read',
    detail: 'What is recorded under this key is not an answer.',
  },
  INVALID_KEY: {
    status: 500,
    title: 'The idempotency key cannot be used here',
    detail: 'This key stands for something else in the same store.',
  },
  INVALID_OPTIONS: {
    status: 500,
    title: 'The idempotency settings are wrong',
    detail: 'The server is not set up correctly for this request.',
  },
} as const satisfies Record<ErrorCode | `IDEMPOTENCY_${string}`, ProblemKind>;
export type ProblemCode = keyof typeof PROBLEMS;

/** For a problem without a documentation link: about:blank goes with the name of the status. */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  409: 'Conflict',
  413: 'Content Too Large',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

interface ProblemDetails {
  /** The documentation of all problems; the code is appended as the fragment. */
  readonly docs: string | undefined;
  readonly detail?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** An `application/problem+json` answer (RFC 9457) with a stable `code`. */
export function problem(code: ProblemCode, { docs, detail, retryAfterSeconds }: ProblemDetails): Answered {
  const kind: ProblemKind = PROBLEMS[code];
  const { status } = kind;
  const body = JSON.stringify({
    type: docs === undefined ? 'about:blank' : `${docs}#${code}`,
    title: docs === undefined ? STATUS_NAMES[status] : kind.title,
    status,
    detail: detail === undefined ? kind.detail : detail,
    code,
  });
  const headers = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  if (retryAfterSeconds === undefined) return { status, headers, body };
  return { status, headers: { ...headers, 'retry-after': String(retryAfterSeconds) }, body };
}
