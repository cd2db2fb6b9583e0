import type { Adapter } from '../../../idempotency/adapter.js';
import type { Attempt } from '../../../core/attempt/attempt.js';
import { messageOf, show } from '../../../core/check.js';
import { isIdempotencyError, retryAfterOf, UsageError } from '../../../core/errors.js';
import type { Answer, Outcome } from '../../../core/outcome.js';
import type { StoredRecord } from '../../../core/record.js';
import { isSavedAnswer, type Answered, type Handled, type SavedAnswer } from './answer.js';
import { BodyRefused } from '../problem/body-refused.js';
import { codedFor } from './coding.js';
import type { Facts } from './facts.js';
import { asked, readRequest, type Keyed } from './keyed-request.js';
import { enterProtection, isProtected } from './nesting.js';
import type { HttpSettings, ReconciledRequest } from '../options.js';
import { forOrigin, headersFor } from './origin.js';
import { problemFacts, type ProblemCode, type ProblemDetails } from '../problem/problem.js';
import { answerTo } from '../problem/problem-for.js';
import { LEAST_RETRY_SECONDS, retryAfterSeconds } from './retry-after.js';
import { outcomeOf } from './verdict.js';

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

const PASS = { kind: 'pass' } as const;

/** What was found for a request, before it is put into words for this client. */
type Found =
  | Exclude<Reply, { kind: 'answer' }>
  | { readonly kind: 'replay'; readonly answer: SavedAnswer & Answered; readonly key: string }
  | ({ readonly kind: 'problem'; readonly code: ProblemCode } & ProblemDetails);

type Work = (attempt: Attempt) => Promise<Handled>;

const KEY_HEADER = 'idempotency-key';

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
  async answer(request: Req, facts: Facts<Req>, work: Work): Promise<Reply> {
    if (!this.concerns(facts.method) || isProtected(request, facts.comesOnce, this.settings)) return PASS;
    const found = await this.#find(request, facts, work).catch((error: unknown) => this.#notServers(error));
    if (found.kind !== 'replay' && found.kind !== 'problem') return found;
    const answer =
      found.kind === 'problem' ? this.#problem(found) : this.#replayed(found.answer, facts.header('origin'));
    const headers = { ...(await this.#ownHeaders(facts)), ...answer.headers };
    if (this.settings.profile.echoesKey && found.key !== undefined) headers[KEY_HEADER] = found.key;
    return {
      kind: 'answer',
      answer: await codedFor({ ...answer, headers }, facts.header('accept-encoding')),
    };
  }

  async #find(request: Req, facts: Facts<Req>, work: Work): Promise<Found> {
    const read = await readRequest(this.settings, facts);
    if (read === 'pass') {
      this.#adapter.events.emit('bypass', { name: `${facts.method} ${facts.route}`, key: '' });
      return PASS;
    }
    if (!('problem' in read)) return this.#run(request, facts, read, work);
    if (read.problem === 'IDEMPOTENCY_SCOPE_MISSING') this.#hintAtCaller(facts);
    return { kind: 'problem', code: read.problem, detail: read.detail, key: read.key };
  }

  /** What a client alone can bring about is no error of the server. Whoever wrote the app is told of it once. */
  #notServers(error: unknown): Found {
    if (isIdempotencyError(error, 'PAYLOAD_TOO_LARGE')) return { kind: 'problem', code: error.code };
    if (!(error instanceof BodyRefused)) throw error;
    this.#adapter.note(`${this.settings.where}: ${error.message}`);
    return { kind: 'problem', code: error.problem, detail: error.detail };
  }

  /** The client is told what it must know; whoever wrote the app, once, what may be wrong with it. */
  #hintAtCaller({ method, route, scopeHint }: Facts<Req>): void {
    if (scopeHint === undefined || this.#hasHinted) return;
    this.#hasHinted = true;
    this.settings.warn(`scope() named no caller of ${method} ${route}: ${scopeHint}`);
  }

  async #run(
    request: Req,
    facts: Facts<Req>,
    { key, caller, place, payload }: Keyed,
    work: Work,
  ): Promise<Found> {
    const { policy, rule, given, profile, where } = this.settings;
    const { onAbandoned } = given;
    const origin = facts.header('origin');
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
      asked: { scope: caller, payloadBytes: bytesOf(facts) },
      onStart: () => (hasStarted = true),
      work: async (attempt) => {
        const leave = enterProtection(request, { attempt, where, options: given });
        if (profile.echoesKey) facts.mark(KEY_HEADER, key);
        const handled = await work(attempt);
        leave();
        const kept =
          'answer' in handled ? { ...handled, answer: forOrigin(handled.answer, origin) } : handled;
        return outcomeOf(kept, this.settings);
      },
      reconcile:
        typeof onAbandoned === 'function'
          ? async (attempt) => reconciled(await onAbandoned(attempt, ...facts.asked()))
          : undefined,
    });
    // A lost lease ends otherwise: then another outcome than the handler's is recorded.
    if (answer.kind === 'ran' && answer.by === 'work') return { kind: 'own' };
    return this.#foundIn(answer, key);
  }

  #foundIn(answer: Answer<SavedAnswer>, key: string): Found {
    switch (answer.kind) {
      case 'ran': {
        // A reconcile function gave the outcome, and the handler did not run.
        const { outcome } = answer;
        return foundValue(outcome.kind === 'completed' ? outcome.value : outcome.error, 'COMPLETED', key);
      }
      case 'duplicate':
        return this.#foundRecord(answer.record, key);
      case 'refused':
        return { kind: 'problem', code: answer.error.code, key, ...this.#hintFor(answer) };
      case 'left':
        return { kind: 'left' };
    }
  }

  #foundRecord(record: StoredRecord, key: string): Found {
    try {
      return foundValue(this.#adapter.decode(record), record.status, key);
    } catch (error) {
      if (isIdempotencyError(error)) return { kind: 'problem', code: error.code, key };
      throw error;
    }
  }

  /** When to come again. Nothing is read for it: a refusal costs the store no more than a replay does. */
  #hintFor({ error, record }: Extract<Answer<never>, { kind: 'refused' }>): ProblemDetails {
    const { code } = error;
    if (code === 'LIMITED') return { retryAfterSeconds: Math.ceil(retryAfterOf(error) / 1_000) };
    if (code === 'CONCURRENT_REQUEST' || code === 'IDEMPOTENCY_TIMEOUT')
      return { retryAfterSeconds: retryAfterSeconds(record, this.settings.policy.leaseMs) };
    return problemFacts(code, {}).retryable ? { retryAfterSeconds: LEAST_RETRY_SECONDS } : {};
  }

  #replayed(answer: SavedAnswer & Answered, origin: string | undefined): Answered {
    const headers = { ...headersFor(answer, origin), [this.settings.profile.replayedHeader]: 'true' };
    return { status: answer.status, headers, body: answer.body };
  }

  #problem({ code, ...details }: Extract<Found, { kind: 'problem' }>): Answered {
    const { profile, docs, problem } = this.settings.given;
    try {
      return answerTo(code, details, { profile, docs, problem });
    } catch (error) {
      this.settings.warn(`problem("${code}") threw ${messageOf(error)}: its default is answered`, { error });
      return answerTo(code, details, { profile, docs });
    }
  }

  /** A function that fails here must not make an error of a replay. */
  async #ownHeaders(facts: Facts<Req>): Promise<Record<string, string | readonly string[]>> {
    const { headers } = this.settings.given;
    try {
      const own = (headers && (await asked('headers', headers, facts))) ?? {};
      return Object.fromEntries(
        Object.entries(own).map(([name, value]) => [name.toLowerCase(), String(value)]),
      );
    } catch (error) {
      this.settings.warn(`headers() threw ${messageOf(error)}: the answer goes without them`, { error });
      return {};
    }
  }
}

function foundValue(value: unknown, status: string, key: string): Found {
  if (isSavedAnswer(value)) {
    const { body, headers = {} } = value;
    if (body === undefined) {
      const detail = `The request under this key was processed and answered with status ${value.status}; the answer's body was too large to be kept.`;
      return { kind: 'problem', code: 'RESULT_UNAVAILABLE', detail, key };
    }
    return { kind: 'replay', answer: { ...value, headers, body }, key };
  }
  // What the first handler threw, for those who waited on it.
  if (status !== 'COMPLETED' || value instanceof Error) return { kind: 'throw', error: value };
  return { kind: 'problem', code: 'CORRUPT_RECORD', key };
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

/** The size of the body as the request names it. */
function bytesOf(facts: Pick<Facts<never>, 'header'>): number | undefined {
  const bytes = Number(facts.header('content-length') ?? NaN);
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : undefined;
}
