import type { Admission, Asked } from './admission.js';
import type { Attempt } from './attempt/attempt.js';
import type { Background } from './background/background.js';
import type { Events, Label } from './events.js';
import type { RunPolicy } from './options.js';
import type { DuplicateAnswer, Outcome } from './outcome.js';
import type { AbandonedRule, Notes, StoreKey } from './record.js';
import type { LeaseStore } from './store.js';

/** One operation under one key, as an adapter gives it to the engine. */
export interface Operation<T> {
  readonly key: StoreKey;
  /** For messages and events. */
  readonly label: Label;
  readonly policy: RunPolicy;
  readonly onDuplicate: DuplicateAnswer;
  readonly onAbandoned: AbandonedRule;
  readonly fingerprint: string | undefined;
  /** What the record tells people and traces about the attempt. */
  readonly notes?: Notes | undefined;
  readonly signal: AbortSignal | undefined;
  /** What `admit` is told besides. */
  readonly asked?: Asked | undefined;
  /** Called when this caller's own attempt begins: before `reconcile` where that is asked, else before the work. */
  readonly onStart?: ((attempt: Attempt) => void) | undefined;
  /** Never rejects: a failure is an outcome. */
  readonly work: (attempt: Attempt) => Promise<Outcome<T>>;
  /** Asks what became of an abandoned attempt; `run` lets the work run. */
  readonly reconcile: ((attempt: Attempt) => Promise<Outcome<T> | 'run'>) | undefined;
}

/** How messages name it. */
export const operationTitle = ({ label }: { readonly label: Label }): string =>
  `${label.name} "${label.key}"`;

/** What a value that is encoded belongs to; without a step, it is the outcome of the operation. */
export interface EncodedOf extends Label {
  readonly step?: string;
}

/** What the engine is built from; `createIdempotency` brings it together. */
export interface EngineParts {
  readonly store: LeaseStore;
  readonly events: Events;
  readonly background: Background;
  /** Undefined lets every call in. */
  readonly admission?: Admission | undefined;
  /** The outcome as text, or the path inside it that can't be kept. */
  readonly encode: (
    outcome: Outcome<unknown>,
    of: EncodedOf,
  ) => { text: string } | { path: string; error: unknown };
  /** The value of a recorded step. */
  readonly decode: (text: string) => unknown;
  readonly deriveKey: (key: StoreKey, failures: number, name: string) => string;
  /** Runs the work so that `currentAttempt()` finds the attempt. */
  readonly enter: <R>(attempt: Attempt, key: StoreKey, run: () => R) => R;
}
