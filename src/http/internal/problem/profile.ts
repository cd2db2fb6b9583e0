import type { Answered } from '../exchange/answer.js';
import type { ProblemCode, ProblemFacts } from './problem.js';

/** How a published protocol represents keys and problems in HTTP. docs/http.md lists the sources. */
export interface Profile {
  /** The header that marks a replay. */
  readonly replayedHeader: string;
  /** Whether every answer to a request with a key contains that key. */
  readonly echoesKey: boolean;
  /** Whether a key without quotes is accepted, unless the option `bareKeys` says otherwise. */
  readonly bareKeys: boolean;
  readonly maxKeyLength: number;
  /** Whether keys belong to the requested path, and not to the route's pattern. */
  readonly keysBelongToPath: boolean;
  readonly form: (facts: ProblemFacts) => Answered;
}

/** The maximum length of keys in this library. */
const MAX_KEY_LENGTH = 512;

/** RFC 9457, with our codes. */
const PROBLEM_JSON: Profile = {
  replayedHeader: 'idempotency-replayed',
  echoesKey: false,
  bareKeys: true,
  maxKeyLength: MAX_KEY_LENGTH,
  keysBelongToPath: false,
  form: ({ code, status, title, detail, link, retryable }) =>
    json(status, { type: link, title, status, detail, code, retryable }, 'application/problem+json'),
};

/** What the two profiles that Stripe designed have in common. */
const STRIPE_LIKE = {
  replayedHeader: 'idempotent-replayed',
  echoesKey: true,
  bareKeys: true,
  maxKeyLength: 255,
};

interface Named {
  readonly status?: number;
  readonly type?: string;
  readonly code?: string | undefined;
}

const STRIPE_NAMES: Partial<Record<ProblemCode, Named>> = {
  // Stripe has no code for this problem, only a type.
  KEY_REUSED: { status: 400, type: 'idempotency_error', code: undefined },
  CONCURRENT_REQUEST: { type: 'idempotency_error', code: 'idempotency_key_in_use' },
  IDEMPOTENCY_TIMEOUT: { type: 'idempotency_error', code: 'idempotency_key_in_use' },
};
const ACP_NAMES: Partial<Record<ProblemCode, Named>> = {
  IDEMPOTENCY_KEY_MISSING: { code: 'idempotency_key_required' },
  KEY_REUSED: { code: 'idempotency_conflict' },
  CONCURRENT_REQUEST: { code: 'idempotency_in_flight' },
  IDEMPOTENCY_TIMEOUT: { code: 'idempotency_in_flight' },
};

export const PROFILES = {
  /** The draft accepts only keys in quotes. */
  ietf: { ...PROBLEM_JSON, bareKeys: false },
  stripe: {
    ...STRIPE_LIKE,
    keysBelongToPath: false,
    form(facts) {
      const byStatus = facts.status < 500 ? 'invalid_request_error' : 'api_error';
      const { status = facts.status, type = byStatus, code } = named(STRIPE_NAMES, facts);
      const error = { type, code, message: facts.detail, doc_url: facts.link };
      const answer = json(status, { error });
      const headers = { ...answer.headers, 'stripe-should-retry': String(facts.retryable) };
      return { ...answer, headers };
    },
  },
  acp: {
    ...STRIPE_LIKE,
    keysBelongToPath: true,
    form(facts) {
      const byStatus = facts.status < 500 ? 'invalid_request' : 'service_unavailable';
      const type = facts.status === 500 ? 'processing_error' : byStatus;
      const { code } = named(ACP_NAMES, facts);
      return json(facts.status, { type, code, message: facts.detail });
    },
  },
} as const satisfies Record<string, Profile>;
export type ProfileName = keyof typeof PROFILES;

export const findProfile = (name: ProfileName | undefined): Profile => (name ? PROFILES[name] : PROBLEM_JSON);

/** The protocol's names for a problem. A problem without a name there gets our code, in lower case like theirs. */
const named = (names: Partial<Record<ProblemCode, Named>>, { code }: ProblemFacts): Named =>
  names[code] ?? { code: code.toLowerCase() };

function json(status: number, body: object, type = 'application/json'): Answered {
  const headers = { 'content-type': type, 'cache-control': 'no-store' };
  return { status, headers, body: JSON.stringify(body) };
}
