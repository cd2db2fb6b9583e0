import type { ErrorCode } from '../../../core/errors.js';

interface ProblemKind {
  readonly status: number;
  /** The same request may succeed later, under the same key. */
  readonly retryable?: true;
  readonly title: string;
  readonly detail: string;
}

/** Every problem, with its status. The codes are stable, because clients rely on them. */
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
  IDEMPOTENCY_BODY_INVALID: {
    status: 400,
    title: 'The body of the request cannot be read',
    detail: 'The body is not what its content type says. Nothing was processed.',
  },
  IDEMPOTENCY_BODY_UNSUPPORTED: {
    status: 415,
    title: 'The type of the body is not supported',
    detail:
      'The body shows whether a request is a retry, and a body of this type cannot be read here. Nothing was processed.',
  },
  IDEMPOTENCY_SCOPE_MISSING: {
    status: 403,
    title: 'The caller is not known',
    detail: 'Idempotency keys belong to a caller, and this request does not identify its caller.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    title: 'The request is too large to be compared',
    detail:
      'The body holds too many values, or is nested too deep, to be compared with that of another request. Nothing was processed.',
  },
  KEY_REUSED: {
    status: 422,
    title: 'The idempotency key was used for another request',
    detail: 'The first request under this key was a different one: use a new key for a new operation.',
  },
  LIMITED: {
    status: 429,
    retryable: true,
    title: 'Too many requests',
    detail: 'Nothing was processed: retry later, under the same key.',
  },
  CONCURRENT_REQUEST: {
    status: 409,
    retryable: true,
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
    retryable: true,
    title: 'The first request is still being processed',
    detail: 'The first request under this key has not ended yet: retry later, under the same key.',
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
    retryable: true,
    title: 'The outcome could not be recorded',
    detail: 'The request was interrupted, and its outcome is not known yet: retry under the same key.',
  },
  STORE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'Idempotency keys cannot be checked right now',
    detail: 'Nothing was processed: retry later, under the same key.',
  },
  RECORD_TOO_NEW: {
    status: 503,
    retryable: true,
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
    detail: 'This key is used for something else in the same store.',
  },
  INVALID_OPTIONS: {
    status: 500,
    title: 'The idempotency settings are wrong',
    detail: 'The server is not set up correctly for this request.',
  },
} as const satisfies Record<ErrorCode | `IDEMPOTENCY_${string}`, ProblemKind>;
export type ProblemCode = keyof typeof PROBLEMS;
export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

/** The page that explains each code. A problem's link is this page and `#CODE`. */
export const ERRORS_PAGE = 'https://github.com/twiceshy/twiceshy/blob/main/docs/errors.md';
/** The `type` of a problem without a link. */
const NO_LINK = 'about:blank';

/** The titles of problems without a link: RFC 9457 wants the name of the status with about:blank. */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** The facts of a problem, before they are formatted. */
export interface ProblemFacts {
  readonly code: ProblemCode;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** The link to the explanation of the code. */
  readonly link: string;
  /** Whether the same request may succeed later, under the same key. */
  readonly retryable: boolean;
  /** When the client should retry: the value of `Retry-After`. */
  readonly retryAfterSeconds?: number | undefined;
  /** The key of the request, if it could be read. */
  readonly key?: string | undefined;
}

export interface ProblemDetails {
  /** The page that explains all problems; the code is appended as the fragment. @default {@link ERRORS_PAGE} */
  readonly docs?: string | undefined;
  readonly detail?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly key?: string | undefined;
}

export function problemFacts(code: ProblemCode, details: ProblemDetails): ProblemFacts {
  const { docs = ERRORS_PAGE, detail, retryAfterSeconds, key } = details;
  const kind: ProblemKind = PROBLEMS[code];
  const { status } = kind;
  const hasLink = docs !== NO_LINK;
  return {
    code,
    status,
    title: (hasLink ? undefined : STATUS_NAMES[status]) ?? kind.title,
    detail: detail ?? kind.detail,
    link: hasLink ? `${docs}#${code}` : docs,
    retryable: kind.retryable === true,
    retryAfterSeconds,
    key,
  };
}
