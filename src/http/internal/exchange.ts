import type { Adapter } from '../../adapter.js';
import type { Attempt } from '../../core/attempt.js';
import { isNothing, show } from '../../core/check.js';
import { isIdempotencyError, UsageError, type IdempotencyError } from '../../core/errors.js';
import { IN_DOUBT_RETENTION_MS } from '../../core/options.js';
import type { Answer, Outcome } from '../../core/outcome.js';
import type { StoredRecord } from '../../core/record.js';
import { checkScope, recordOf, type RecordPlace } from './address.js';
import { isSavedAnswer, type Answered, type Handled, type SavedAnswer } from './answer.js';
import { codedFor } from './coding.js';
import { parseKeyHeader } from './header.js';
import { enterProtection, isProtected } from './nesting.js';
import type { HttpSettings, ReconciledRequest } from './options.js';
import { problem, type ProblemCode } from './problem.js';
import { outcomeOf } from './verdict.js';

/** What the core asks of a request, whatever the framework. */
export interface Facts {
  readonly method: string;
  readonly path: string;
  /** With its question mark; empty when there is none. */
  readonly query: string;
  /** The full path of the route, as far as the framework tells it. */
  readonly route: string;
  readonly header: (name: string) => string | undefined;
  /**
   * The body as far as it counts for "the same request": parsed JSON, text or bytes; undefined when there is none.
   * @throws UsageError INVALID_OPTIONS when it can't be had
   */
  readonly body: () => unknown;
  /** Whether each request is an object of its own. */
  readonly comesOnce: boolean;
  /** What the framework's users often get wrong where no caller is named. */
  readonly scopeHint?: string | undefined;
  /** Calls back when the client has left. */
  readonly onGone: (listener: () => void) => void;
}

/** How a request is to be answered. */
export type Reply =
  /** The handler runs as if we were not there. */
  | { readonly kind: 'pass' }
  /** By the handler's own answer, which may be finished now. */
  | { readonly kind: 'own' }
  | { readonly kind: 'answer'; readonly answer: Answered }
  /** By the framework's error handler. */
  | { readonly kind: 'throw'; readonly error: unknown }
  /** The client has left, and nothing was run for it. */
  | { readonly kind: 'left' };

/** One request with a key: what stands at the beginning of its end. */
interface Keyed {
  readonly key: string;
  readonly place: RecordPlace;
  readonly payload: unknown;
}

const PASS: Reply = { kind: 'pass' };
const LEAST_RETRY_SECONDS = 1;

/** What happens to one request. The state machine is the engine's; this puts its answers into HTTP. */
export class Exchange<Req extends object> {
  #hasHinted = false;

  constructor(readonly settings: HttpSettings<Req>) {}

  get #adapter(): Adapter {
    return this.settings.adapter;
  }

  concerns(method: string): boolean {
    return this.settings.methods.has(method);
  }

  /**
   * @param work runs the handler, and never rejects
   * @throws UsageError INVALID_OPTIONS, or what a function in the options threw; never after `work` was called
   */
  async answer(request: Req, facts: Facts, work: (attempt: Attempt) => Promise<Handled>): Promise<Reply> {
    if (!this.concerns(facts.method) || isProtected(request, facts.comesOnce, this.settings)) return PASS;
    if (await this.#isSkipped(request)) return PASS;
    const keyed = await this.#read(request, facts);
    if (!('key' in keyed)) return keyed;
    return this.#run(request, facts, keyed, work).catch((error: unknown) => this.#tooLarge(error));
  }

  /** The client's own fault, which must not be a 500. */
  #tooLarge(error: unknown): Reply {
    if (isIdempotencyError(error, 'PAYLOAD_TOO_LARGE')) return this.#problem(error.code);
    throw error;
  }

  /** Only `true` and `false` mean something: a text such as `'false'`, from a header, would switch the protection off. */
  async #isSkipped(request: Req): Promise<boolean> {
    const { skip } = this.settings.given;
    const said: unknown = skip ? await skip(request) : false;
    if (typeof said === 'boolean') return said;
    throw new UsageError('INVALID_OPTIONS', `skip() answered ${show(said)}: it answers true or false`);
  }

  async #read(request: Req, facts: Facts): Promise<Keyed | Reply> {
    const { header, given } = this.settings;
    const text = facts.header(header);
    if (text === undefined) return given.required === false ? PASS : this.#problem('IDEMPOTENCY_KEY_MISSING');
    const parsed = parseKeyHeader(text, given.bareKeys ?? true);
    if ('fault' in parsed) {
      const detail = `The header ${given.header ?? 'Idempotency-Key'} cannot be read: ${parsed.fault}.`;
      return this.#problem('IDEMPOTENCY_KEY_INVALID', { detail });
    }
    const scope = given.scope === 'shared' ? undefined : checkScope(await given.scope(request));
    if (scope === undefined && given.scope !== 'shared') return this.#unknownCaller(facts);
    const route = given.route ? given.route(request) : facts.route;
    const tenant = this.#adapter.given.scope;
    const place = recordOf({
      method: facts.method,
      route,
      ...(scope !== undefined && { scope }),
      ...(tenant !== undefined && { tenant }),
    });
    const payload = await this.#payload(request, facts);
    if (payload !== undefined) return { key: parsed.key, place, payload };
    const detail = 'The request lacks what a retry of it would be recognised by.';
    return this.#problem('IDEMPOTENCY_KEY_INVALID', { detail });
  }

  /** The client is told what it must know; whoever wrote the app, once, what may be wrong with it. */
  #unknownCaller({ method, route, scopeHint }: Facts): Reply {
    if (scopeHint !== undefined && !this.#hasHinted) {
      this.#hasHinted = true;
      this.settings.warn(`scope() named no caller of ${method} ${route}: ${scopeHint}`);
    }
    return this.#problem('IDEMPOTENCY_SCOPE_MISSING');
  }

  /** Undefined where `fingerprint` gave nothing: a client alone may bring that about, and must not switch the comparison off. */
  async #payload(request: Req, { method, path, query, body }: Facts): Promise<unknown> {
    const { fingerprint } = this.settings.given;
    if (fingerprint) {
      const chosen = await fingerprint(request);
      return isNothing(chosen) ? undefined : { chosen };
    }
    return { method, path, query, body: await body() };
  }

  async #run(
    request: Req,
    facts: Facts,
    { key, place, payload }: Keyed,
    work: (attempt: Attempt) => Promise<Handled>,
  ): Promise<Reply> {
    const { policy, rule, given } = this.settings;
    const { onAbandoned } = given;
    let hasStarted = false;
    const left = new AbortController();
    // Once the handler runs, it runs to its end, and its answer is recorded for the retry.
    facts.onGone(() => hasStarted || left.abort());
    const answer = await this.#adapter.answer<SavedAnswer>({
      ...place,
      key,
      prefix: given.prefix,
      payload,
      policy,
      onDuplicate: 'replay',
      onAbandoned: rule,
      signal: left.signal,
      onStart: () => (hasStarted = true),
      work: async (attempt) => {
        const { where } = this.settings;
        const leave = enterProtection(request, { attempt, where, options: given });
        const handled = await work(attempt);
        leave();
        return outcomeOf(handled, this.settings);
      },
      reconcile:
        typeof onAbandoned === 'function'
          ? async (attempt) => reconciled(await onAbandoned(attempt, request))
          : undefined,
    });
    // A lost lease ends otherwise: then another outcome than the handler's is recorded.
    if (answer.kind === 'ran' && answer.by === 'work') return { kind: 'own' };
    return this.#codedFor(facts, await this.#replyTo(answer, key, place));
  }

  async #codedFor({ header }: Facts, reply: Reply): Promise<Reply> {
    if (reply.kind !== 'answer') return reply;
    return { kind: 'answer', answer: await codedFor(reply.answer, header('accept-encoding')) };
  }

  async #replyTo(answer: Answer<SavedAnswer>, key: string, place: RecordPlace): Promise<Reply> {
    switch (answer.kind) {
      case 'ran': {
        // A reconcile function gave the outcome, and the handler did not run.
        const { outcome } = answer;
        return this.#replay(outcome.kind === 'completed' ? outcome.value : outcome.error, 'COMPLETED');
      }
      case 'duplicate':
        return this.#replayRecord(answer.record);
      case 'refused':
        return this.#refused(answer.error, key, place);
      case 'left':
        return { kind: 'left' };
    }
  }

  #replayRecord(record: StoredRecord): Reply {
    try {
      return this.#replay(this.#adapter.decode(record), record.status);
    } catch (error) {
      if (isIdempotencyError(error)) return this.#problem(error.code);
      throw error;
    }
  }

  #replay(value: unknown, status: string): Reply {
    if (isSavedAnswer(value)) {
      const { body, headers = {} } = value;
      if (body === undefined) {
        const detail = `The request under this key was processed and answered with status ${value.status}; the answer's body was too large to be kept.`;
        return this.#problem('RESULT_UNAVAILABLE', { detail });
      }
      const marked = { ...headers, 'idempotency-replayed': 'true' };
      return { kind: 'answer', answer: { status: value.status, headers: marked, body } };
    }
    // What the first handler threw, for those who waited on it.
    return status === 'COMPLETED' && !(value instanceof Error)
      ? this.#problem('CORRUPT_RECORD')
      : { kind: 'throw', error: value };
  }

  async #refused(error: IdempotencyError, key: string, place: RecordPlace): Promise<Reply> {
    const { code } = error;
    if (code === 'CONCURRENT_REQUEST' || code === 'IDEMPOTENCY_TIMEOUT')
      return this.#problem(code, { retryAfterSeconds: await this.#secondsToLeaseEnd(key, place) });
    if (code === 'STORE_UNAVAILABLE' || code === 'LEASE_LOST' || code === 'RECORD_TOO_NEW')
      return this.#problem(code, { retryAfterSeconds: LEAST_RETRY_SECONDS });
    return this.#problem(code);
  }

  /** A hint for the client: how long the first request holds the key if it never says another word. */
  async #secondsToLeaseEnd(key: string, place: RecordPlace): Promise<number> {
    const { policy, rule, given } = this.settings;
    const record = await this.#adapter.get(key, { ...place, prefix: given.prefix }).catch(() => undefined);
    if (record?.status !== 'IN_PROGRESS') return LEAST_RETRY_SECONDS;
    const retentionMs = rule === 'retry' ? policy.ttlMs : IN_DOUBT_RETENTION_MS;
    const remainingMs = Math.min(record.expiresAt - retentionMs - Date.now(), policy.leaseMs);
    return Math.max(LEAST_RETRY_SECONDS, Math.ceil(remainingMs / 1_000));
  }

  #problem(code: ProblemCode, more: { detail?: string; retryAfterSeconds?: number } = {}): Reply {
    return { kind: 'answer', answer: problem(code, { docs: this.settings.given.docs, ...more }) };
  }
}

function reconciled(found: ReconciledRequest): Outcome<SavedAnswer> | 'run' {
  if (found === 'run') return 'run';
  if (typeof found?.status !== 'number') {
    throw new UsageError(
      'INVALID_OPTIONS',
      `onAbandoned answered ${show(found)}: "run", or { status, headers, body }`,
    );
  }
  const { status, headers = {}, body = '' } = found;
  const lowered = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    kind: 'completed',
    value: { status, headers: Object.fromEntries(lowered) as Record<string, string>, body },
  };
}
