import { LONGEST_ASKING_MS } from './ask.js';
import { invalid, LONGEST_TIMER_MS, errorMessage, parseCount, show } from './check.js';
import { LimitError, type IdempotencyError } from './errors.js';
import { keyIdentity, type StoreKey } from './record.js';
import { timerMs } from './timers.js';

/** What `admit` is told of a call. Counts are of this instance and process, and without the call itself. */
export interface AdmitFacts {
  /** The name of the operation. */
  readonly operation: string;
  /** Whose key it is, as it was given (HTTP: what the `scope` function said); undefined for none. */
  readonly scope: string | undefined;
  /** The length of the key, in characters. */
  readonly keyLength: number;
  /** The size of the payload, where it is known without effort: a text, bytes, or a request's `content-length`. */
  readonly payloadBytes: number | undefined;
  /** How many calls of this scope run their work right now. */
  readonly running: number;
  /** How many other calls of this scope are under way: they wait for an attempt, or for the store. */
  readonly waiting: number;
  /** How many keys of this scope have calls under way. */
  readonly known: number;
  /** How many calls of this very key are under way. */
  readonly sameKey: number;
}

/**
 * What `admit` answers: `true` or nothing lets the call in; `false`, or in how many milliseconds it may come again, refuses it
 * with LIMITED.
 */
export type Admitted = boolean | number | undefined;

/**
 * Decides whether a call is let in, before it joins or claims anything. One that throws, or does not answer within
 * `storeTimeout`, refuses the call with LIMITED; an answer that means nothing refuses it with INVALID_OPTIONS.
 */
export type Admit = (facts: AdmitFacts) => Admitted | Promise<Admitted>;

/** What the engine knows of a call that is to be let in. */
export interface Asking {
  readonly key: StoreKey;
  /** What the adapter knows besides. @default nothing */
  readonly asked: Asked | undefined;
  readonly timeoutMs: number;
}

/** What only the adapter knows of a call. */
export interface Asked {
  /** The scope as it was given, where it is stored otherwise. */
  readonly scope?: string | undefined;
  readonly payloadBytes?: number | undefined;
}

/** A call that is counted until it ends. */
export interface Visit {
  /** Its own work runs from now on. */
  runs(): void;
  ends(): void;
}

interface OfScope {
  running: number;
  calls: number;
  /** How many calls are under way, by the identity of their key. */
  readonly keys: Map<string, number>;
}

const LATE = Symbol('late');

/** Asks `admit`, and counts the calls that it decides by. */
export class Admission {
  readonly #scopes = new Map<string | undefined, OfScope>();

  constructor(private readonly admit: Admit) {}

  /** The call is counted from now on, also while it is asked about: calls that come meanwhile must see it. */
  async enter({ key, asked, timeoutMs }: Asking): Promise<Visit | { readonly refusal: IdempotencyError }> {
    const of = this.#scopes.get(key.scope);
    const facts: AdmitFacts = {
      operation: key.operation,
      scope: asked?.scope ?? key.scope,
      keyLength: key.key.length,
      payloadBytes: asked?.payloadBytes,
      running: of?.running ?? 0,
      waiting: of ? of.calls - of.running : 0,
      known: of?.keys.size ?? 0,
      sameKey: of?.keys.get(keyIdentity(key)) ?? 0,
    };
    const visit = this.#count(key);
    const refusal = await this.#refusal(facts, Math.min(timeoutMs, LONGEST_ASKING_MS));
    if (!refusal) return visit;
    visit.ends();
    return { refusal };
  }

  #count(key: StoreKey): Visit {
    let of = this.#scopes.get(key.scope);
    if (!of) this.#scopes.set(key.scope, (of = { running: 0, calls: 0, keys: new Map<string, number>() }));
    const counts = of;
    const identity = keyIdentity(key);
    counts.calls++;
    counts.keys.set(identity, (counts.keys.get(identity) ?? 0) + 1);
    let isRunning = false;
    return {
      runs: () => {
        if (!isRunning) counts.running++;
        isRunning = true;
      },
      ends: () => {
        if (isRunning) counts.running--;
        const left = (counts.keys.get(identity) ?? 1) - 1;
        if (left > 0) counts.keys.set(identity, left);
        else counts.keys.delete(identity);
        if (--counts.calls === 0) this.#scopes.delete(key.scope);
      },
    };
  }

  async #refusal(facts: AdmitFacts, timeoutMs: number): Promise<IdempotencyError | undefined> {
    const { operation } = facts;
    let answer: unknown;
    try {
      answer = await this.#ask(facts, timeoutMs);
    } catch (cause) {
      return new LimitError('LIMITED', `${operation}: admit threw: ${errorMessage(cause)}; nothing was run`, {
        cause,
      });
    }
    if (answer === true || answer === undefined) return undefined;
    if (answer === LATE)
      return new LimitError(
        'LIMITED',
        `${operation}: admit did not answer within ${timeoutMs} ms; nothing was run`,
      );
    const message = `${operation}: admit did not let the call in; nothing was run`;
    if (answer === false) return new LimitError('LIMITED', message);
    if (typeof answer === 'number' && answer >= 1 && answer <= LONGEST_TIMER_MS)
      return new LimitError('LIMITED', message, { retryAfterMs: answer });
    return invalid(
      `${operation}: admit answered ${show(answer)}: it answers true, false, or in how many milliseconds to come again, from 1 to ${LONGEST_TIMER_MS}`,
    );
  }

  async #ask(facts: AdmitFacts, timeoutMs: number): Promise<unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, timerMs(timeoutMs), LATE)));
    try {
      return await Promise.race([this.admit(facts), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * For `admit`: at most so many calls of one scope at a time in this process, those that wait included. A call from inside of
 * another one's work counts too.
 * @throws UsageError INVALID_OPTIONS
 */
export function inFlightPerScope(most: number): (facts: AdmitFacts) => boolean {
  const checked = parseCount('the number of inFlightPerScope()', most);
  return ({ running, waiting }) => running + waiting < checked;
}

/**
 * For `admit`: at most so many calls of one key that wait in this process, beside the first one; 0 for none.
 * @throws UsageError INVALID_OPTIONS
 */
export function waitersPerKey(most: number): (facts: AdmitFacts) => boolean {
  const checked = parseCount('the number of waitersPerKey()', most, 0);
  return ({ sameKey }) => sameKey <= checked;
}
