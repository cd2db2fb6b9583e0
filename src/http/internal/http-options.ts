import type { Idempotency, IdempotencyOptions } from '../../idempotency/api.js';
import type { Attempt } from '../../core/attempt/attempt.js';
import type { CommonOptions, Duration, FailureVerdict } from '../../core/options.js';
import type { LeaseStore } from '../../core/store.js';
import type { SavedAnswer } from './exchange/answer.js';
import type { ProblemForm } from './problem/problem-for.js';
import type { ProfileName } from './problem/profile.js';

/**
 * A function of the request, which may be annotated with the framework's own, richer type. It is also given what the handler
 * is given besides the request (fetch only). It may read the body: under fetch it reads a copy. It may take up to ten seconds,
 * not counted the time in which the client sends what it reads; one that takes longer is an error of the app.
 */
type OfRequest<Req, Rest extends unknown[], Result> = {
  ask(request: Req, ...rest: Rest): Result | Promise<Result>;
}['ask'];

/** An answer that a reconcile function gives in the place of the handler's. */
export interface ReconciledAnswer {
  status: number;
  headers?: Record<string, string>;
  /** @default '' */
  body?: string | Uint8Array;
}
/** What a reconcile function found out: let the handler run, or this is the answer. */
export type ReconciledRequest = 'run' | ReconciledAnswer;

/** What `ttlOf` is told of an answer. */
export interface RememberedAnswer {
  readonly status: number;
  /** Those that are replayed, in lower case. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What an HTTP adapter takes, beside the options that mean the same in every face. */
export interface HttpOptions<Req, Rest extends unknown[] = []> extends CommonOptions {
  /** Where the records are. @default none: give it, or `idempotency` */
  store?: LeaseStore;
  /**
   * What `createIdempotency` made: its store, its events, and its options as defaults. Its `scope` holds as well as the one
   * given here. Its `remember`, which is about failures, is refused, unless one is given here, which is about answers. Its
   * `name` is not used: a record belongs to a route. @default none: give it, or `store`
   */
  idempotency?: Idempotency;
  /**
   * Whose keys these are: a name for the caller (a user, an API key; a number is a safe integer), since otherwise whoever
   * guesses a key reads another's answer; or the word `'shared'`. A request without a name is refused with 403. Stored as a
   * hash. Where `idempotency` has a scope, the tenant's, callers are told apart within it: both are part of what is stored,
   * and `'shared'` means shared by all callers of that tenant.
   */
  scope: 'shared' | OfRequest<Req, Rest, CallerName>;
  /**
   * What becomes of a duplicate while the first request runs: `reject` refuses it with 409 and `Retry-After`; `wait` holds its
   * connection until there is an answer, `waitTimeout` at most. @default 'reject'
   */
  concurrent?: 'wait' | 'reject';
  /**
   * A larger answer, counted as it is recorded, with its headers, is kept without its value; a duplicate is told so with 409.
   * @default what `maxBodyBytes` needs: twice as much and 64 KiB, and 1 MiB at least
   */
  maxResultBytes?: number;
  /** Whether a request without a key is refused with 400; else it runs unprotected. @default true */
  required?: boolean;
  /** GET, HEAD, OPTIONS and TRACE can't be among them. @default ['POST', 'PATCH'] */
  methods?: readonly string[];
  /** The header that the key stands in. @default 'Idempotency-Key' */
  header?: string;
  /**
   * The key, where it stands elsewhere than in the header: a webhook has its event's id in the body. Where it answers nothing
   * (undefined, null, an empty text), the header counts. What is no key is refused with 400. The
   * option itself is left out or is a function: undefined is refused with INVALID_KEY. @default none: the header
   */
  key?: OfRequest<Req, Rest, CallerName>;
  /** Whether a key in the header is taken without quotes, as Stripe's clients send it. @default true; false under `profile: 'ietf'` */
  bareKeys?: boolean;
  /**
   * Whether keys of one host are unknown to the others: `true` for the `Host` of the request, or a function that names the
   * host, where a proxy in front has replaced it. A request without a host is refused with 400.
   * Undefined is refused with INVALID_OPTIONS: hosts would share their keys unnoticed. @default false
   */
  host?: boolean | OfRequest<Req, Rest, string | null | undefined>;
  /** `true` lets a request through unprotected. @default none */
  skip?: OfRequest<Req, Rest, boolean>;
  /**
   * The full path of the route, mount point included, that the record belongs to.
   * @default the route's pattern where the framework tells it, else the path; always the path under `profile: 'acp'`
   */
  route?: OfRequest<Req, Rest, string>;
  /** What must be equal in a retry, in the place of path, query and body; nothing is refused. @default none */
  fingerprint?: OfRequest<Req, Rest, unknown>;
  /**
   * Which answers are remembered: `true` or `false`, or a verdict; undefined leaves it to the default. It is asked once the
   * answer has ended, and is given the error that the answer was made of, where the framework tells: Fastify and fetch do,
   * Express does with `expressIdempotencyErrors()`. Under fetch a thrown error is no answer yet, and has the status 500 here.
   * @default those below 500 but for 401, 407, 408, 409, 425 and 429
   */
  remember?: RememberAnswer;
  /**
   * How long an answer that is remembered is kept: shorter for refusals, say. Undefined leaves it to `ttl`.
   * @default `ttl` for all
   */
  ttlOf?: (answer: RememberedAnswer) => Duration | undefined;
  /** After a crash: run it again, refuse with IN_DOUBT, or ask the provider under the new lease. @default 'retry' */
  onAbandoned?: 'retry' | 'block' | ReconcileRequest<Req, Rest>;
  /** Headers that are replayed besides those that describe the body. @default [] */
  replayHeaders?: readonly string[];
  /** A larger body is passed through and not kept; a duplicate is told so with 409. @default 1048576 (1 MiB) */
  maxBodyBytes?: number;
  /**
   * How long the handler may still answer when somebody else has answered 408 or 5xx in its place, a timer in front for
   * example. Until then its key is held; after it, nobody can say what came of it. Express and Fastify only. @default '1m'
   */
  lateAnswer?: Duration;
  /**
   * Under fetch, the longest body that is read to be compared, and that functions of the request are given; a longer one is
   * refused with 413. Express and Fastify have limits of their own, in their parsers. @default 1048576 (1 MiB)
   */
  maxRequestBytes?: number;
  /**
   * How keys and problems look: as the IETF draft, Stripe, or the Agentic Commerce Protocol publish them.
   * @default problem+json (RFC 9457) with this library's codes
   */
  profile?: ProfileName;
  /** Puts problems into a form of your own; undefined leaves one as it is. @default none */
  problem?: ProblemForm;
  /**
   * Headers for everything that is answered in the handler's place, replays and problems: those for CORS, say, where nothing
   * in front sets them. @default none
   */
  headers?: OfRequest<Req, Rest, Readonly<Record<string, string>> | undefined>;
  /** Your page about these problems: their link is this and `#CODE`; `'about:blank'` for none. @default docs/errors.md of this library */
  docs?: string;
  /** Stands first in every address. Two services on one Redis need two. @default 'idempotency' */
  prefix?: string;
  /** Whether `'shared'` is refused where `idempotency` has no scope either. @default false, or what instance or store say */
  requireScope?: boolean;
  /** Any subset of debug, info, warn, error; only with `store`. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /**
   * Whether a call is let in, asked before each one; only with `store`. `false`, or in how many milliseconds to come again,
   * refuses it with 429 and `Retry-After`. @default all are let in
   */
  admit?: IdempotencyOptions['admit'];
  /** Only with `store`: what is recorded of errors, and `redact`, which is also given answers. @default see CodecOptions */
  codec?: IdempotencyOptions['codec'];
  /** Only with `store`: how keys stand in warnings. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
}
/** What `remember` is given beside the status. */
export interface RememberFacts {
  /** What the handler threw, or what the framework made the answer of, where it tells. */
  readonly error?: unknown;
  /** As it is recorded; undefined for an error that is not answered yet. */
  readonly answer?: SavedAnswer;
}
export type RememberAnswer = (
  status: number,
  facts: RememberFacts,
) => boolean | FailureVerdict | undefined | Promise<boolean | FailureVerdict | undefined>;
/** Asks what came of an attempt that was abandoned. */
type ReconcileRequest<Req, Rest extends unknown[]> = {
  ask(attempt: Attempt, request: Req, ...rest: Rest): ReconciledRequest | Promise<ReconciledRequest>;
}['ask'];
type CallerName = string | number | null | undefined;
