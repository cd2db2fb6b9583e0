import type { Answered } from '../exchange/answer.js';
import type { ProblemCode, ProblemFacts } from './problem.js';

/** How a published contract puts keys and problems into HTTP. docs/http.md names the sources. */
export interface Profile {
  /** Says that an answer is a replay. */
  readonly replayedHeader: string;
  /** Whether every answer to a request with a key names that key. */
  readonly echoesKey: boolean;
  /** Whether a key without quotes is taken, unless `bareKeys` says otherwise. */
  readonly bareKeys: boolean;
  readonly maxKeyLength: number;
  /** Whether keys belong to the path that was asked for, and not to the route's pattern. */
  readonly keysBelongToPath: boolean;
  readonly form: (facts: ProblemFacts) => Answered;
}

/** As long as a key may be anywhere in this library. */
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

/** What two profiles that Stripe wrote have in common. */
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
  // Stripe gives this one no code: it is known by its type.
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
  /** The draft takes keys in quotes only. */
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

export const profileOf = (name: ProfileName | undefined): Profile => (name ? PROFILES[name] : PROBLEM_JSON);

/** What a contract calls a problem; what it has no word for has our own code, written as it writes codes. */
const named = (names: Partial<Record<ProblemCode, Named>>, { code }: ProblemFacts): Named =>
  names[code] ?? { code: code.toLowerCase() };

function json(status: number, body: object, type = 'application/json'): Answered {
  const headers = { 'content-type': type, 'cache-control': 'no-store' };
  return { status, headers, body: JSON.stringify(body) };
}
