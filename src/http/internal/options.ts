import type { IdempotencyOptions } from '../../api.js';
import type { Attempt } from '../../core/attempt.js';
import { UsageError } from '../../core/errors.js';
import {
  abandonedRule,
  checkNames,
  COMMON_OPTION_NAMES,
  parseDuration,
  resolvePolicy,
  show,
  type CommonOptions,
  type Duration,
  type FailureVerdict,
  type RunPolicy,
} from '../../core/options.js';
import type { AbandonedRule } from '../../core/record.js';
import type { LeaseStore } from '../../core/store.js';
import { createIdempotency, type Idempotency } from '../../idempotency.js';
import { warnThrough } from '../../logging.js';
import { headerFilter, NEVER_REPLAYED } from './answer.js';

/** A function of the request, which may be annotated with the framework's own, richer type. */
type OfRequest<Req, Result> = { ask(request: Req): Result }['ask'];

/** An answer that a reconcile function gives in the place of the handler's. */
export interface ReconciledAnswer {
  status: number;
  headers?: Record<string, string>;
  /** @default '' */
  body?: string | Uint8Array;
}
/** What a reconcile function found out: let the handler run, or this is the answer. */
export type ReconciledRequest = 'run' | ReconciledAnswer;

/** What an HTTP adapter takes, beside the options that mean the same in every face. */
export interface HttpOptions<Req> extends CommonOptions {
  /** Where the records are; or give `idempotency`. */
  store?: LeaseStore;
  /** What `createIdempotency` made: its store, its events, and its options as defaults. */
  idempotency?: Idempotency;
  /**
   * Whose keys these are: a name for the caller (a user, an API key), since otherwise whoever guesses a key reads
   * another's answer; or the word `'shared'`. A request without a name is refused with 403. Stored as a hash.
   */
  scope: 'shared' | OfRequest<Req, CallerName | Promise<CallerName>>;
  /** Whether a request without a key is refused with 400; else it runs unprotected. @default true */
  required?: boolean;
  /** GET, HEAD, OPTIONS and TRACE can't be among them. @default ['POST', 'PATCH'] */
  methods?: readonly string[];
  /** @default 'Idempotency-Key' */
  header?: string;
  /** Whether a key without quotes is taken, as Stripe's clients send it. @default true */
  bareKeys?: boolean;
  /** `true` lets a request through unprotected. @default none */
  skip?: OfRequest<Req, boolean | Promise<boolean>>;
  /**
   * The full path of the route, mount point included, that the record belongs to.
   * @default the route's pattern where the framework tells it, else the path
   */
  route?: OfRequest<Req, string>;
  /** What must be equal in a retry, in the place of path, query and body. @default none */
  fingerprint?: OfRequest<Req, unknown>;
  /**
   * Which answers are remembered: `true` or `false` by status, or a verdict; undefined leaves it to the default.
   * @default those below 500 but for 408, 409, 425 and 429
   */
  remember?: (status: number) => boolean | FailureVerdict | undefined;
  /** After a crash: run it again, refuse with IN_DOUBT, or ask the provider under the new lease. @default 'retry' */
  onAbandoned?:
    'retry' | 'block' | ((attempt: Attempt, request: Req) => ReconciledRequest | Promise<ReconciledRequest>);
  /** Headers that are replayed besides those that describe the body. @default [] */
  replayHeaders?: readonly string[];
  /** A larger body is passed through and not kept; a duplicate is told so with 409. @default 1048576 (1 MiB) */
  maxBodyBytes?: number;
  /**
   * How long the handler may still answer when somebody else has answered 408 or 5xx in its place, a timer in front for
   * example. Until then its key is held; after it, nobody can say what came of it. Express and Fastify only. @default '1m'
   */
  lateAnswer?: Duration;
  /** Your page about these problems: their `type` is this and `#CODE`. @default none: 'about:blank' */
  docs?: string;
  /** Stands first in every address. Two services on one Redis need two. @default 'idempotency' */
  prefix?: string;
  /** Any subset of debug, info, warn, error; only with `store`. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
}
type CallerName = string | number | null | undefined;

/** {@link HttpOptions}, checked. */
export interface HttpSettings<Req> {
  /** Whose options these are, for messages. */
  readonly where: string;
  readonly idempotency: Idempotency;
  readonly policy: RunPolicy;
  readonly rule: AbandonedRule;
  readonly given: HttpOptions<Req>;
  readonly methods: ReadonlySet<string>;
  /** Lower case. */
  readonly header: string;
  readonly keepsHeader: (name: string) => boolean;
  readonly maxBodyBytes: number;
  readonly lateAnswerMs: number;
  readonly warn: (message: string, detail?: unknown) => void;
}

const OPTION_NAMES: readonly string[] = [
  ...COMMON_OPTION_NAMES,
  ...[
    'store',
    'idempotency',
    'scope',
    'required',
    'methods',
    'header',
    'bareKeys',
    'skip',
    'route',
    'fingerprint',
  ],
  ...['remember', 'onAbandoned', 'replayHeaders', 'maxBodyBytes', 'lateAnswer', 'docs', 'prefix', 'logger'],
];
/** Safe by definition: a duplicate of one does no harm. */
const NEVER_PROTECTED = ['GET', 'HEAD', 'OPTIONS', 'TRACE'];
const TOKEN = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/;
const DEFAULT_MAX_BODY_BYTES = 1024 * 1024;
const DEFAULT_LATE_ANSWER = '1m';

const invalid = (message: string) => new UsageError('INVALID_OPTIONS', message);

/**
 * @param where whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS
 */
export function httpSettings<Req>(where: string, options: HttpOptions<Req>): HttpSettings<Req> {
  checkNames(where, options, OPTION_NAMES);
  const { scope, methods = ['POST', 'PATCH'], header = 'Idempotency-Key', docs } = options;
  if (scope !== 'shared' && typeof scope !== 'function') {
    throw invalid(
      `scope is ${show(scope)}: give a function that names the caller of a request (whoever guesses a key would read ` +
        `another caller's answer), or 'shared' where all callers are one`,
    );
  }
  for (const name of ['skip', 'route', 'fingerprint', 'remember'] as const)
    check(name, options[name], 'function');
  for (const name of ['required', 'bareKeys'] as const) check(name, options[name], 'boolean');
  checkTokens('header', [header]);
  check('docs', docs, 'string');
  const idempotency = engineOf(options);
  const maxBodyBytes = checkBytes(options.maxBodyBytes);
  return {
    where,
    idempotency,
    policy: policyOf(options, idempotency, maxBodyBytes),
    rule: abandonedRule(options.onAbandoned),
    given: options,
    methods: checkMethods(methods),
    header: header.toLowerCase(),
    keepsHeader: headerFilter(checkReplayHeaders(options.replayHeaders ?? [])),
    maxBodyBytes,
    lateAnswerMs: parseDuration('lateAnswer', options.lateAnswer ?? DEFAULT_LATE_ANSWER),
    warn: warnThrough(options.logger),
  };
}

function engineOf({ store, idempotency, logger }: HttpOptions<never>): Idempotency {
  if ((store === undefined) === (idempotency === undefined))
    throw invalid('give either store or idempotency');
  if (store) return createIdempotency(logger ? { store, logger } : { store });
  if (typeof idempotency?.answer !== 'function') {
    throw invalid(`idempotency is ${show(idempotency)}: give what createIdempotency() made`);
  }
  if (logger) throw invalid('logger goes with store; idempotency has its own');
  return idempotency;
}

function policyOf(options: CommonOptions, { policy }: Idempotency, maxBodyBytes: number): RunPolicy {
  const resolved = resolvePolicy({ concurrent: 'reject', ...definedOf(options) }, policy);
  if (options.maxResultBytes !== undefined) return resolved;
  // The body has its own limit; as base64 it is a third longer, and the headers stand beside it.
  return { ...resolved, maxResultBytes: Math.max(resolved.maxResultBytes, maxBodyBytes * 2 + 65_536) };
}

function definedOf(options: CommonOptions): CommonOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function check(option: string, value: unknown, type: 'function' | 'boolean' | 'string'): void {
  if (value !== undefined && typeof value !== type)
    throw invalid(`${option} is ${show(value)}: give a ${type}`);
}

function checkBytes(value: number = DEFAULT_MAX_BODY_BYTES): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(`maxBodyBytes is ${show(value)}: it is a whole number of bytes`);
}

function checkTokens(option: string, names: unknown): readonly string[] {
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string' && TOKEN.test(name));
  if (isList) return names as readonly string[];
  throw invalid(`${option} is ${show(names)}: give names as HTTP allows them`);
}

function checkMethods(given: readonly string[]): ReadonlySet<string> {
  const methods = checkTokens('methods', given).map((method) => method.toUpperCase());
  const safe = methods.find((method) => NEVER_PROTECTED.includes(method));
  if (safe === undefined && methods.length > 0) return new Set(methods);
  throw invalid(
    `methods is ${show(given)}: ${safe === undefined ? 'name one' : `${safe} changes nothing that could happen twice`}`,
  );
}

function checkReplayHeaders(given: readonly string[]): readonly string[] {
  const names = checkTokens('replayHeaders', given).map((name) => name.toLowerCase());
  const never = names.find((name) => NEVER_REPLAYED.includes(name));
  if (never === undefined) return names;
  throw invalid(
    `replayHeaders names ${never}, which belongs to one connection, moment or person and is never replayed`,
  );
}
