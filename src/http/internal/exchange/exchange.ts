import type { Runtime } from '../../../idempotency/runtime.js';
import type { Attempt } from '../../../core/attempt/attempt.js';
import { errorMessage, show } from '../../../core/check.js';
import { isIdempotencyError, limitedRetryMs, UsageError } from '../../../core/errors.js';
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
import { toOutcome } from './outcome.js';

/** How to answer a request. */
export type Reply =
  /** Run the handler without protection. */
  | { readonly kind: 'pass' }
  /** Let the handler's own answer end: its outcome is recorded. */
  | { readonly kind: 'own' }
  | { readonly kind: 'answer'; readonly answer: Answered }
  /** Pass the error to the framework's error handler. */
  | { readonly kind: 'throw'; readonly error: unknown }
  /** The client has left, and nothing was run for it. */
  | { readonly kind: 'left' };

const PASS = { kind: 'pass' } as const;

/** The result for a request, before it is adapted to this client. */
type Found =
  | Exclude<Reply, { kind: 'answer' }>
  | { readonly kind: 'replay'; readonly answer: SavedAnswer & Answered; readonly key: string }
  | ({ readonly kind: 'problem'; readonly code: ProblemCode } & ProblemDetails);

type Work = (attempt: Attempt) => Promise<Handled>;

const KEY_HEADER = 'idempotency-key';

/** Processes one request at a time: calls the engine, and turns its answer into HTTP. */
export class Exchange<Req extends object> {
  #hasHinted = false;

  constructor(readonly settings: HttpSettings<Req>) {}

  get #runtime(): Runtime {
    return this.settings.runtime;
  }

  /** Whether requests with this method are protected. To be checked before {@link answer} is called. */
  concerns(method: string): boolean {
    return this.settings.methods.has(method);
  }

  /**
   * Answers a request whose method is protected.
   * @param work runs the handler, and never rejects
   * @throws UsageError INVALID_OPTIONS, or what a function in the options threw; never after `work` was called
   */
  async answer(request: Req, facts: Facts<Req>, work: Work): Promise<Reply> {
    if (isProtected(request, facts.comesOnce, this.settings)) return PASS;
    const found = await this.#find(request, facts, work).catch((error: unknown) => this.#clientFault(error));
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
      this.#runtime.events.emit('bypass', { name: `${facts.method} ${facts.route}`, key: '' });
      return PASS;
    }
    if (!('problem' in read)) return this.#run(request, facts, read, work);
    if (read.problem === 'IDEMPOTENCY_SCOPE_MISSING') this.#warnOfScope(facts);
    return { kind: 'problem', code: read.problem, detail: read.detail, key: read.key };
  }

  /** Turns an error that a client can cause into a 4xx. The app's developers get a warning once. */
  #clientFault(error: unknown): Found {
    if (isIdempotencyError(error, 'PAYLOAD_TOO_LARGE')) return { kind: 'problem', code: error.code };
    if (!(error instanceof BodyRefused)) throw error;
    this.#runtime.note(`${this.settings.where}: ${error.message}`);
    return { kind: 'problem', code: error.problem, detail: error.detail };
  }

  /** Warns the app's developers, once, that no caller was identified. The client gets a problem. */
  #warnOfScope({ method, route, scopeHint }: Facts<Req>): void {
    if (scopeHint === undefined || this.#hasHinted) return;
    this.#hasHinted = true;
    this.settings.warn(`scope() returned no caller for ${method} ${route}: ${scopeHint}`);
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
    // A client that leaves ends the waiting, but not a handler that runs: its answer is recorded for the retry.
    facts.onGone(() => hasStarted || left.abort());
    const answer = await this.#runtime.answer<SavedAnswer>({
      ...place,
      key,
      prefix: given.prefix,
      payload,
      policy,
      onDuplicate: 'replay',
      onAbandoned: rule,
      signal: left.signal,
      asked: { scope: caller, payloadBytes: announcedBytes(facts) },
      onStart: () => (hasStarted = true),
      work: async (attempt) => {
        const leave = enterProtection(request, { attempt, where, options: given });
        if (profile.echoesKey) facts.mark(KEY_HEADER, key);
        const handled = await work(attempt);
        leave();
        const kept =
          'answer' in handled ? { ...handled, answer: forOrigin(handled.answer, origin) } : handled;
        return toOutcome(kept, this.settings);
      },
      reconcile:
        typeof onAbandoned === 'function'
          ? async (attempt) => reconciled(await onAbandoned(attempt, ...facts.asked()))
          : undefined,
    });
    // After a lost lease the answer is of another kind, because another outcome than the handler's is recorded.
    if (answer.kind === 'ran' && answer.by === 'work') return { kind: 'own' };
    return this.#foundIn(answer, key);
  }

  #foundIn(answer: Answer<SavedAnswer>, key: string): Found {
    switch (answer.kind) {
      case 'ran': {
        // The outcome is from a reconcile function; the handler did not run.
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
      return foundValue(this.#runtime.decode(record), record.status, key);
    } catch (error) {
      if (isIdempotencyError(error)) return { kind: 'problem', code: error.code, key };
      throw error;
    }
  }

  /** When the client should retry. Reads nothing from the store, so that a refusal is as cheap as a replay. */
  #hintFor({ error, record }: Extract<Answer<never>, { kind: 'refused' }>): ProblemDetails {
    const { code } = error;
    if (code === 'LIMITED') return { retryAfterSeconds: Math.ceil(limitedRetryMs(error) / 1_000) };
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
      this.settings.warn(`problem("${code}") threw ${errorMessage(error)}: the default form is sent`, {
        error,
      });
      return answerTo(code, details, { profile, docs });
    }
  }

  /** The headers of the option `headers`. If it throws, the answer is sent without them. */
  async #ownHeaders(facts: Facts<Req>): Promise<Record<string, string | readonly string[]>> {
    const { headers } = this.settings.given;
    try {
      const own = (headers && (await asked('headers', headers, facts))) ?? {};
      return Object.fromEntries(
        Object.entries(own).map(([name, value]) => [name.toLowerCase(), String(value)]),
      );
    } catch (error) {
      this.settings.warn(`headers() threw ${errorMessage(error)}: the answer is sent without them`, {
        error,
      });
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
  // The first handler threw: those who waited for it get the same error.
  if (status !== 'COMPLETED' || value instanceof Error) return { kind: 'throw', error: value };
  return { kind: 'problem', code: 'CORRUPT_RECORD', key };
}

function reconciled(found: ReconciledRequest): Outcome<SavedAnswer> | 'run' {
  if (found === 'run') return 'run';
  if (typeof found?.status !== 'number') {
    throw new UsageError(
      'INVALID_OPTIONS',
      `onAbandoned returned ${show(found)}: it must return "run" or { status, headers, body }`,
    );
  }
  const { status, headers = {}, body = '' } = found;
  const lowered = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    kind: 'completed',
    value: { status, headers: Object.fromEntries(lowered) as Record<string, string>, body },
  };
}

/** The size of the body by the header Content-Length. */
function announcedBytes(facts: Pick<Facts<never>, 'header'>): number | undefined {
  const bytes = Number(facts.header('content-length') ?? NaN);
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : undefined;
}
