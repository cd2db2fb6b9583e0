import type { Adapter } from '../../adapter.js';
import type { Idempotency, IdempotencyOptions } from '../../api.js';
import type { Attempt } from '../../core/attempt.js';
import {
  ANY,
  BOOLEAN,
  DURATION,
  FUNCTION,
  inherit,
  invalid,
  OBJECT,
  parseCount,
  readOptions,
  show,
  type InheritanceTable,
  type OptionTable,
} from '../../core/check.js';
import {
  abandonedRule,
  checkScoped,
  COMMON_INHERITANCE,
  COMMON_OPTIONS,
  LEASE_STORE,
  ON_ABANDONED,
  PREFIX,
  REQUEST_POLICY,
  resolvePolicy,
  SCOPE,
  type CommonOptions,
  type Duration,
  type FailureVerdict,
  type RunPolicy,
} from '../../core/options.js';
import type { AbandonedRule } from '../../core/record.js';
import type { LeaseStore } from '../../core/store.js';
import { adapterOf, createIdempotency } from '../../idempotency.js';
import { KEYS_IN_LOGS, warnThrough } from '../../logging.js';
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
  /**
   * What `createIdempotency` made: its store, its events, and its options as defaults. Its `scope` holds as well as the one
   * given here. Its `remember`, which is about failures, is refused, unless one is given here, which is about answers. Its
   * `name` is not used: a record belongs to a route.
   */
  idempotency?: Idempotency;
  /**
   * Whose keys these are: a name for the caller (a user, an API key; a number is a safe integer), since otherwise whoever
   * guesses a key reads another's answer; or the word `'shared'`. A request without a name is refused with 403. Stored as a
   * hash. Where `idempotency` has a scope, the tenant's, callers are told apart within it: both are part of what is stored,
   * and `'shared'` means shared by all callers of that tenant.
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
  /** What must be equal in a retry, in the place of path, query and body; nothing is refused. @default none */
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
  /** Whether `'shared'` is refused where `idempotency` has no scope either. @default false, or what instance or store say */
  requireScope?: boolean;
  /** Any subset of debug, info, warn, error; only with `store`. @default warnings go to process.emitWarning */
  logger?: IdempotencyOptions['logger'];
  /** Only with `store`: what is recorded of errors, and `redact`, which is also given answers. @default see CodecOptions */
  codec?: IdempotencyOptions['codec'];
  /** Only with `store`: how keys stand in warnings. @default 'plain' */
  keysInLogs?: IdempotencyOptions['keysInLogs'];
}
type CallerName = string | number | null | undefined;

/** {@link HttpOptions}, checked. */
export interface HttpSettings<Req> {
  /** Whose options these are, for messages. */
  readonly where: string;
  readonly adapter: Adapter;
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

export const HTTP_OPTIONS = {
  ...COMMON_OPTIONS,
  store: LEASE_STORE,
  idempotency: ANY,
  scope: { ...SCOPE, check: checkScopeOption },
  requireScope: BOOLEAN,
  required: BOOLEAN,
  methods: { check: checkMethods },
  header: { check: (value, option) => checkTokens(option, [value])[0] },
  bareKeys: BOOLEAN,
  skip: FUNCTION,
  route: FUNCTION,
  fingerprint: { ...FUNCTION, refusesUndefined: 'INVALID_OPTIONS' },
  remember: FUNCTION,
  onAbandoned: ON_ABANDONED,
  replayHeaders: { check: checkReplayHeaders },
  maxBodyBytes: { check: (value, option) => parseCount(option, value, 0) },
  lateAnswer: DURATION,
  docs: { check: checkText },
  prefix: PREFIX,
  logger: OBJECT,
  codec: OBJECT,
  keysInLogs: KEYS_IN_LOGS,
} satisfies OptionTable<HttpOptions<never>>;

/** What becomes of the options of `idempotency`. */
export const HTTP_INHERITANCE = {
  ...COMMON_INHERITANCE,
  prefix: 'inherited',
  // A record belongs to a route.
  name: 'replaced',
  scope: 'combined',
  requireScope: 'kept',
  // The instance's is asked about what work throws, the one here about the status of an answer.
  remember: 'refused',
  store: 'kept',
  codec: 'kept',
  pepper: 'kept',
  logger: 'kept',
  keysInLogs: 'kept',
} satisfies InheritanceTable<IdempotencyOptions>;

/** Safe by definition: a duplicate of one does no harm. */
const NEVER_PROTECTED = ['GET', 'HEAD', 'OPTIONS', 'TRACE'];
const TOKEN = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/;
const DEFAULT_METHODS = ['POST', 'PATCH'];
const DEFAULT_MAX_BODY_BYTES = 1024 * 1024;
const DEFAULT_LATE_ANSWER_MS = 60_000;

/**
 * The options, checked but for what depends on others: those of a route stand over those of an app.
 * @param where whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS
 */
export function readHttpOptions<Req>(where: string, given: Partial<HttpOptions<Req>>): ReadOptions<Req> {
  const notes: string[] = [];
  const table: OptionTable<Partial<HttpOptions<Req>>> = HTTP_OPTIONS;
  return { options: readOptions(where, table, given, (note) => notes.push(note)), notes };
}

export interface ReadOptions<Req> {
  readonly options: Partial<HttpOptions<Req>>;
  /** What is to be said about options that are probably not meant so. */
  readonly notes: readonly string[];
}

/** @throws UsageError INVALID_OPTIONS */
export function httpSettings<Req>(where: string, { options, notes }: ReadOptions<Req>): HttpSettings<Req> {
  const { scope } = options;
  if (scope === undefined) return checkScopeOption(scope);
  const adapter = engineOf(options);
  const { given } = adapter;
  const settled: HttpOptions<Req> = inherit(where, HTTP_INHERITANCE, given, { ...options, scope });
  const {
    header = 'Idempotency-Key',
    methods = DEFAULT_METHODS,
    maxBodyBytes = DEFAULT_MAX_BODY_BYTES,
  } = settled;
  const isNamed = scope === 'shared' ? given.scope : scope;
  checkScoped(where, settled.requireScope ?? adapter.requiresScope, isNamed);
  notes.forEach(adapter.note);
  return {
    where,
    adapter,
    policy: policyOf(settled, maxBodyBytes),
    rule: abandonedRule(settled.onAbandoned),
    given: settled,
    methods: new Set(methods),
    header: header.toLowerCase(),
    keepsHeader: headerFilter(settled.replayHeaders ?? []),
    maxBodyBytes,
    lateAnswerMs: settled.lateAnswer === undefined ? DEFAULT_LATE_ANSWER_MS : (settled.lateAnswer as number),
    warn: warnThrough(given.logger),
  };
}

function engineOf({ store, idempotency, logger, codec, keysInLogs }: Partial<HttpOptions<never>>): Adapter {
  if ((store === undefined) === (idempotency === undefined))
    throw invalid('give either store or idempotency');
  if (store) {
    const own = { ...(codec && { codec }), ...(logger && { logger }), ...(keysInLogs && { keysInLogs }) };
    return adapterOf(createIdempotency({ store, ...own }));
  }
  const adapter = adapterOf(idempotency as Idempotency);
  if (logger ?? codec ?? keysInLogs)
    throw invalid('logger, codec and keysInLogs go with store; idempotency has its own');
  return adapter;
}

function policyOf(options: CommonOptions, maxBodyBytes: number): RunPolicy {
  const policy = resolvePolicy(options, REQUEST_POLICY);
  if (options.maxResultBytes !== undefined) return policy;
  // The body has its own limit; as base64 it is a third longer, and the headers stand beside it.
  return { ...policy, maxResultBytes: Math.max(policy.maxResultBytes, maxBodyBytes * 2 + 65_536) };
}

/** @throws UsageError INVALID_OPTIONS */
function checkScopeOption<Result>(scope: unknown): Result {
  if (scope === 'shared' || typeof scope === 'function') return scope as Result;
  throw invalid(
    `scope is ${show(scope)}: give a function that names the caller of a request (whoever guesses a key would read ` +
      `another caller's answer), or 'shared' where all callers are one`,
  );
}

function checkText(value: unknown, option: string): string {
  if (typeof value === 'string') return value;
  throw invalid(`${option} is ${show(value)}: give a text`);
}

function checkTokens(option: string, names: unknown): readonly string[] {
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string' && TOKEN.test(name));
  if (isList) return names as readonly string[];
  throw invalid(`${option} is ${show(names)}: give names as HTTP allows them`);
}

function checkMethods(given: unknown, option: string): readonly string[] {
  const methods = checkTokens(option, given).map((method) => method.toUpperCase());
  const safe = methods.find((method) => NEVER_PROTECTED.includes(method));
  if (safe === undefined && methods.length > 0) return methods;
  throw invalid(
    `methods is ${show(given)}: ${safe === undefined ? 'name one' : `${safe} changes nothing that could happen twice`}`,
  );
}

function checkReplayHeaders(given: unknown, option: string): readonly string[] {
  const names = checkTokens(option, given).map((name) => name.toLowerCase());
  const never = names.find((name) => NEVER_REPLAYED.includes(name));
  if (never === undefined) return names;
  throw invalid(
    `replayHeaders names ${never}, which belongs to one connection, moment or person and is never replayed`,
  );
}
