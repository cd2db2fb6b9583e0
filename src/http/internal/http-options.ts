import type { Idempotency, IdempotencyOptions } from '../../idempotency/api.js';
import type { Attempt } from '../../core/attempt/attempt.js';
import type { CommonOptions, Duration, FailureVerdict } from '../../core/options.js';
import type { LeaseStore } from '../../core/store.js';
import type { SavedAnswer } from './exchange/answer.js';
import type { ProblemForm } from './problem/problem-for.js';
import type { ProfileName } from './problem/profile.js';

/**
 * A function of the request. You may annotate the request with the framework's own, richer type. Under fetch the function also
 * gets the handler's other arguments. It may be async, and may read the body: under fetch it reads a copy. If it does not answer
 * within ten seconds, the request ends with an error. The time in which the client sends what it reads is not counted.
 */
type RequestFunction<Req, Rest extends unknown[], Result> = {
  ask(request: Req, ...rest: Rest): Result | Promise<Result>;
}['ask'];

/** An answer from a reconcile function, in place of the handler's. */
export interface ReconciledAnswer {
  status: number;
  headers?: Record<string, string>;
  /** @default '' */
  body?: string | Uint8Array;
}
/** What a reconcile function found out: `'run'` to run the handler, or the answer to record. */
export type ReconciledRequest = 'run' | ReconciledAnswer;

/** The argument of `ttlOf`. */
export interface RememberedAnswer {
  readonly status: number;
  /** The headers that are replayed, in lower case. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** The options of the HTTP adapters, besides those that are common to all adapters. */
export interface HttpOptions<Req, Rest extends unknown[] = []> extends CommonOptions {
  /** Where the records are kept. @default none: give it, or `idempotency` */
  store?: LeaseStore;
  /**
   * An instance made by `createIdempotency()`. Its store and events are used, and its options are the defaults. Its `scope` is
   * combined with the one given here. Its `remember` is about errors and does not fit answers: it is refused, unless you give
   * one here. Its `name` is not used, because records belong to routes. @default none: give it, or `store`
   */
  idempotency?: Idempotency;
  /**
   * Identifies the caller: returns a user id, an API key or the like (a string, or a safe integer). Without it, a caller who
   * guesses a key could read another caller's answer. `'shared'` means that all callers may share answers. A request without a
   * caller is refused with 403. The value is stored as a hash. If `idempotency` has a `scope` (a tenant), callers are separated
   * within it, and `'shared'` means shared by all callers of that tenant.
   */
  scope: 'shared' | RequestFunction<Req, Rest, CallerName>;
  /**
   * What a duplicate gets while the first request runs. `reject` refuses it with 409 and `Retry-After`. `wait` keeps its
   * connection open until there is an answer, for at most `waitTimeout`. @default 'reject'
   */
  concurrent?: 'wait' | 'reject';
  /**
   * The longest answer that is recorded with its value, counted as it is recorded, with its headers. Duplicates of a longer one
   * get 409. @default what `maxBodyBytes` needs: twice as much and 64 KiB, and 1 MiB at least
   */
  maxResultBytes?: number;
  /** Whether a request without a key is refused with 400. If not, it runs unprotected. @default true */
  required?: boolean;
  /** The methods that are protected. GET, HEAD, OPTIONS and TRACE are not allowed. @default ['POST', 'PATCH'] */
  methods?: readonly string[];
  /** The header that contains the key. @default 'Idempotency-Key' */
  header?: string;
  /**
   * Returns the key, if it is not in the header: a webhook has its event id in the body. If the function returns nothing
   * (undefined, null or an empty text), the header is used. An invalid key is refused with 400. The option itself must not be
   * undefined (INVALID_KEY): leave it out instead. @default none: the header is used
   */
  key?: RequestFunction<Req, Rest, CallerName>;
  /**
   * Whether the header may contain a key without quotes, as Stripe's clients send it.
   * @default true; false under `profile: 'ietf'`
   */
  bareKeys?: boolean;
  /**
   * Whether each host has its own keys: `true` uses the `Host` of the request; give a function if a proxy replaces that header. A
   * request without a host is refused with 400. Undefined is refused with INVALID_OPTIONS, because hosts would then share keys
   * unnoticed. @default false
   */
  host?: boolean | RequestFunction<Req, Rest, string | null | undefined>;
  /** Returns `true` for a request that should run unprotected. @default none */
  skip?: RequestFunction<Req, Rest, boolean>;
  /**
   * Returns the full path of the route that the record belongs to, with its mount point.
   * @default the route's pattern if the framework has one, else the path; always the path under `profile: 'acp'`
   */
  route?: RequestFunction<Req, Rest, string>;
  /**
   * Returns what must be equal in a retry, instead of path, query and body. If it returns nothing, the request is refused.
   * @default none
   */
  fingerprint?: RequestFunction<Req, Rest, unknown>;
  /**
   * Decides whether an answer is remembered: `true`, `false` or a verdict; undefined means the default. It is called when the
   * answer has ended. It gets the error that the answer was made from, if that is known: with Fastify and fetch, and with Express
   * if you use `expressIdempotencyErrors()`. Under fetch a thrown error has no answer yet, and the status is 500 here.
   * @default statuses below 500, except 401, 407, 408, 409, 425 and 429
   */
  remember?: RememberAnswer;
  /**
   * Returns how long a remembered answer is kept, for example shorter for refusals. Undefined means `ttl`.
   * @default `ttl` for all
   */
  ttlOf?: (answer: RememberedAnswer) => Duration | undefined;
  /**
   * What happens after a crash: run again, refuse with IN_DOUBT, or call a function that finds out, under the new lease.
   * @default 'retry'
   */
  onAbandoned?: 'retry' | 'block' | ReconcileRequest<Req, Rest>;
  /** More headers to replay, besides the default ones. @default [] */
  replayHeaders?: readonly string[];
  /** A larger body is sent but not recorded; a duplicate then gets 409. @default 1048576 (1 MiB) */
  maxBodyBytes?: number;
  /**
   * How long the handler may still answer after something else has answered 408 or 5xx, for example a timeout middleware. Until
   * then the handler's attempt holds the key; after that its outcome is unknown. Express and Fastify only. @default '1m'
   */
  lateAnswer?: Duration;
  /**
   * Under fetch: the longest body that is read, to compare it and for functions of the request. A longer one is refused with 413.
   * Express and Fastify have such limits in their parsers. @default 1048576 (1 MiB)
   */
  maxRequestBytes?: number;
  /**
   * The format of keys and problems: that of the IETF draft, of Stripe, or of the Agentic Commerce Protocol.
   * @default problem+json (RFC 9457) with this library's codes
   */
  profile?: ProfileName;
  /** Formats problems in your own way. Undefined keeps the default format. @default none */
  problem?: ProblemForm;
  /**
   * Returns headers for replays and problems, for example for CORS if no middleware sets them. @default none
   */
  headers?: RequestFunction<Req, Rest, Readonly<Record<string, string>> | undefined>;
  /**
   * Your page about these problems: their link is this and `#CODE`. `'about:blank'` for no link.
   * @default docs/errors.md of this library
   */
  docs?: string;
  /** The first part of every address. Two services on one Redis need different prefixes. @default 'idempotency' */
  prefix?: string;
  /** Whether `'shared'` is refused if `idempotency` has no scope either. @default that of `idempotency` or the store */
  requireScope?: boolean;
  /** Any subset of debug, info, warn, error; only with `store`. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /**
   * Only with `store`: called before each request, to decide whether it may start. `false`, or a number of milliseconds after
   * which to retry, refuses it with 429 and `Retry-After`. @default every request may start
   */
  admit?: IdempotencyOptions['admit'];
  /** Only with `store`: what is recorded of errors, and `redact`, which also gets answers. @default see CodecOptions */
  codec?: IdempotencyOptions['codec'];
  /** Only with `store`: how keys appear in warnings: plain, or hashed. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
}
/** The second argument of `remember`. */
export interface RememberFacts {
  /** What the handler threw, or the error that the framework answered, if it is known. */
  readonly error?: unknown;
  /** The answer as it would be recorded; undefined for an error that is not answered yet. */
  readonly answer?: SavedAnswer;
}
export type RememberAnswer = (
  status: number,
  facts: RememberFacts,
) => boolean | FailureVerdict | undefined | Promise<boolean | FailureVerdict | undefined>;
/** Finds out what happened in an abandoned attempt. */
type ReconcileRequest<Req, Rest extends unknown[]> = {
  ask(attempt: Attempt, request: Req, ...rest: Rest): ReconciledRequest | Promise<ReconciledRequest>;
}['ask'];
type CallerName = string | number | null | undefined;
