/** The option tables of `createIdempotency()` and of its methods, and checks of their other arguments. */
import type { IdempotencyOptions, Namespaced, RunOptions } from './api.js';
import {
  ANY,
  BOOLEAN,
  checkNames,
  invalid,
  OBJECT,
  show,
  type InheritanceTable,
  type OptionTable,
} from '../core/check.js';
import { isEventName } from '../core/events.js';
import {
  ADMIT,
  COMMON_INHERITANCE,
  COMMON_OPTIONS,
  FIXED_SCOPE,
  LEASE_STORE,
  NAME,
  ON_ABANDONED,
  PAYLOAD,
  PEPPER,
  PREFIX,
  REMEMBER,
  SIGNAL,
} from '../core/options.js';
import { KEYS_IN_LOGS } from './logging.js';

/** The options of `get()` and `resolve()`. */
export const PLACE_OPTIONS = {
  prefix: PREFIX,
  name: NAME,
  scope: FIXED_SCOPE,
} satisfies OptionTable<Namespaced>;

export interface ForgetOptions extends Namespaced {
  /** Forgets the key even while an attempt runs, which then loses its lease. @default false */
  force?: boolean;
}
export const FORGET_OPTIONS = { ...PLACE_OPTIONS, force: BOOLEAN } satisfies OptionTable<ForgetOptions>;

export const RUN_OPTIONS = {
  ...COMMON_OPTIONS,
  ...PLACE_OPTIONS,
  payload: PAYLOAD,
  signal: SIGNAL,
  remember: REMEMBER,
  onAbandoned: ON_ABANDONED,
} satisfies OptionTable<RunOptions<never>>;

export const INSTANCE_OPTIONS = {
  ...COMMON_OPTIONS,
  ...PLACE_OPTIONS,
  requireScope: BOOLEAN,
  store: { ...LEASE_STORE, isRequired: true },
  remember: REMEMBER,
  codec: OBJECT,
  pepper: PEPPER,
  logger: OBJECT,
  admit: ADMIT,
  keysInLogs: KEYS_IN_LOGS,
} satisfies OptionTable<IdempotencyOptions>;

/** What becomes of the options of an instance in its own methods. */
export const RUN_INHERITANCE = {
  ...COMMON_INHERITANCE,
  prefix: 'inherited',
  name: 'inherited',
  scope: 'inherited',
  remember: 'inherited',
  requireScope: 'kept',
  store: 'kept',
  codec: 'kept',
  pepper: 'kept',
  logger: 'kept',
  admit: 'kept',
  keysInLogs: 'kept',
} satisfies InheritanceTable<IdempotencyOptions>;

/** @throws UsageError INVALID_OPTIONS */
export function checkOutcomeByHand(outcome: unknown): void {
  checkNames('the outcome of resolve()', outcome, { result: ANY, error: ANY });
  if (Object.keys(outcome as object).length !== 1)
    throw invalid('the outcome of resolve() must be either { result } or { error }');
}

/** @throws UsageError INVALID_OPTIONS */
export function checkListener(event: unknown, listener: unknown): void {
  if (!isEventName(event)) throw invalid(`there is no event ${show(event)}`);
  if (typeof listener !== 'function') throw invalid(`the listener is ${show(listener)}: give a function`);
}
