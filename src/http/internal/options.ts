import type { Runtime } from '../../idempotency/runtime.js';
import type { Idempotency, IdempotencyOptions } from '../../idempotency/api.js';
import {
  ANY,
  BOOLEAN,
  choice,
  COUNT,
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
  ADMIT,
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
  type RunPolicy,
} from '../../core/options.js';
import type { AbandonedRule } from '../../core/record.js';
import { getRuntime, createIdempotency } from '../../idempotency/idempotency.js';
import { KEYS_IN_LOGS, warnThrough } from '../../idempotency/logging.js';
import { headerFilter, NEVER_REPLAYED } from './exchange/answer.js';
import type { HttpOptions } from './http-options.js';
import { findProfile, PROFILES, type Profile } from './problem/profile.js';

export type {
  HttpOptions,
  ReconciledAnswer,
  ReconciledRequest,
  RememberedAnswer,
  RememberFacts,
} from './http-options.js';

/** {@link HttpOptions}, checked. */
export interface HttpSettings<Req> {
  /** Whose options these are, for messages. */
  readonly where: string;
  readonly runtime: Runtime;
  readonly policy: RunPolicy;
  readonly rule: AbandonedRule;
  readonly given: HttpOptions<Req, unknown[]>;
  readonly profile: Profile;
  readonly maxRequestBytes: number;
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
  key: { ...FUNCTION, refusesUndefined: 'INVALID_KEY' },
  bareKeys: BOOLEAN,
  host: { check: checkHost, refusesUndefined: 'INVALID_OPTIONS' },
  skip: FUNCTION,
  route: FUNCTION,
  fingerprint: { ...FUNCTION, refusesUndefined: 'INVALID_OPTIONS' },
  remember: FUNCTION,
  ttlOf: FUNCTION,
  onAbandoned: ON_ABANDONED,
  replayHeaders: { check: checkReplayHeaders },
  maxBodyBytes: { check: (value, option) => parseCount(option, value, 0) },
  lateAnswer: DURATION,
  maxRequestBytes: COUNT,
  profile: choice(...Object.keys(PROFILES)),
  problem: FUNCTION,
  headers: FUNCTION,
  docs: { check: checkText },
  prefix: PREFIX,
  logger: OBJECT,
  admit: ADMIT,
  codec: OBJECT,
  keysInLogs: KEYS_IN_LOGS,
} satisfies OptionTable<HttpOptions<never, never>>;

/** How the HTTP adapters use the options of their `idempotency`. */
export const HTTP_INHERITANCE = {
  ...COMMON_INHERITANCE,
  prefix: 'inherited',
  // A record belongs to a route.
  name: 'replaced',
  scope: 'combined',
  // Required if either of the two requires it.
  requireScope: 'combined',
  // That of the instance decides about errors; the one here decides about answers.
  remember: 'refused',
  store: 'kept',
  codec: 'kept',
  pepper: 'kept',
  logger: 'kept',
  admit: 'kept',
  keysInLogs: 'kept',
} satisfies InheritanceTable<IdempotencyOptions>;

/** Safe methods: a duplicate does no harm. */
const NEVER_PROTECTED = ['GET', 'HEAD', 'OPTIONS', 'TRACE'];
const TOKEN = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/;
const DEFAULT_METHODS = ['POST', 'PATCH'];
const DEFAULT_MAX_BODY_BYTES = 1024 * 1024;
const DEFAULT_MAX_REQUEST_BYTES = 1024 * 1024;
const DEFAULT_LATE_ANSWER_MS = 60_000;

/**
 * Checks each option by itself. What depends on several options is checked by {@link httpSettings}, after those of a route were
 * merged with those of the app.
 * @param where the function whose options these are, for messages
 * @throws UsageError INVALID_OPTIONS; INVALID_KEY for a `key` that is undefined
 */
export function readHttpOptions<Req>(
  where: string,
  given: Partial<HttpOptions<Req, unknown[]>>,
): ReadOptions<Req> {
  const notes: string[] = [];
  const table: OptionTable<Partial<HttpOptions<Req, unknown[]>>> = HTTP_OPTIONS;
  return { options: readOptions(where, table, given, (note) => notes.push(note)), notes };
}

export interface ReadOptions<Req> {
  readonly options: Partial<HttpOptions<Req, unknown[]>>;
  /** Warnings about options that are probably mistakes. */
  readonly notes: readonly string[];
}

/** @throws UsageError INVALID_OPTIONS */
export function httpSettings<Req>(where: string, { options, notes }: ReadOptions<Req>): HttpSettings<Req> {
  const { scope } = options;
  if (scope === undefined) return checkScopeOption(scope);
  const runtime = chooseRuntime(options);
  const { given } = runtime;
  const settled: HttpOptions<Req, unknown[]> = inherit(where, HTTP_INHERITANCE, given, { ...options, scope });
  const {
    header = 'Idempotency-Key',
    methods = DEFAULT_METHODS,
    maxBodyBytes = DEFAULT_MAX_BODY_BYTES,
  } = settled;
  const isNamed = scope === 'shared' ? given.scope : scope;
  checkScoped(where, settled.requireScope || runtime.requiresScope, isNamed);
  notes.forEach(runtime.note);
  return {
    where,
    runtime,
    policy: httpPolicy(settled, maxBodyBytes),
    rule: abandonedRule(settled.onAbandoned),
    given: settled,
    methods: new Set(methods),
    header: header.toLowerCase(),
    keepsHeader: headerFilter(settled.replayHeaders ?? []),
    maxBodyBytes,
    maxRequestBytes: settled.maxRequestBytes ?? DEFAULT_MAX_REQUEST_BYTES,
    profile: findProfile(settled.profile),
    lateAnswerMs: settled.lateAnswer === undefined ? DEFAULT_LATE_ANSWER_MS : (settled.lateAnswer as number),
    warn: warnThrough(given.logger),
  };
}

function chooseRuntime({
  store,
  idempotency,
  logger,
  codec,
  keysInLogs,
  admit,
}: Partial<HttpOptions<never, never>>): Runtime {
  if ((store === undefined) === (idempotency === undefined))
    throw invalid('give either store or idempotency');
  const own = {
    ...(codec && { codec }),
    ...(logger && { logger }),
    ...(keysInLogs && { keysInLogs }),
    ...(admit && { admit }),
  };
  if (store) return getRuntime(createIdempotency({ store, ...own }));
  const runtime = getRuntime(idempotency as Idempotency);
  if (Object.keys(own).length > 0)
    throw invalid('logger, codec, keysInLogs and admit go with store; idempotency has its own');
  return runtime;
}

function httpPolicy(options: CommonOptions, maxBodyBytes: number): RunPolicy {
  const policy = resolvePolicy(options, REQUEST_POLICY);
  if (options.maxResultBytes !== undefined) return policy;
  // The body has its own limit. In base64 it is a third longer, and the headers are stored with it.
  return { ...policy, maxResultBytes: Math.max(policy.maxResultBytes, maxBodyBytes * 2 + 65_536) };
}

/** @throws UsageError INVALID_OPTIONS */
function checkScopeOption<Result>(scope: unknown): Result {
  if (scope === 'shared' || typeof scope === 'function') return scope as Result;
  throw invalid(
    `scope is ${show(scope)}: give a function that returns the caller of a request (without it, a caller who guesses a key would ` +
      `read another caller's answer), or 'shared' if all callers may share answers`,
  );
}

function checkHost(value: unknown, option: string): unknown {
  if (typeof value === 'boolean' || typeof value === 'function') return value;
  throw invalid(
    `${option} is ${show(value)}: give true, false, or a function that returns the host of a request`,
  );
}

function checkText(value: unknown, option: string): string {
  if (typeof value === 'string') return value;
  throw invalid(`${option} is ${show(value)}: give a text`);
}

function checkTokens(option: string, names: unknown): readonly string[] {
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string' && TOKEN.test(name));
  if (isList) return names as readonly string[];
  throw invalid(`${option} is ${show(names)}: give names that HTTP allows`);
}

function checkMethods(given: unknown, option: string): readonly string[] {
  const methods = checkTokens(option, given).map((method) => method.toUpperCase());
  const safe = methods.find((method) => NEVER_PROTECTED.includes(method));
  if (safe === undefined && methods.length > 0) return methods;
  throw invalid(
    `methods is ${show(given)}: ${safe === undefined ? 'give at least one' : `${safe} is a safe method and is never protected`}`,
  );
}

function checkReplayHeaders(given: unknown, option: string): readonly string[] {
  const names = checkTokens(option, given).map((name) => name.toLowerCase());
  const never = names.find((name) => NEVER_REPLAYED.includes(name));
  if (never === undefined) return names;
  throw invalid(
    `replayHeaders contains ${never}, which is never replayed: it belongs to one connection, one moment or one person`,
  );
}
