/** What plain JavaScript may hand to the neutral API, checked before anything is run. */
import { UsageError } from './core/errors.js';
import { isEventName } from './core/events.js';
import { checkNames, checkObject, checkRemember, COMMON_OPTION_NAMES, show } from './core/options.js';
import { isLeaseStore } from './core/store.js';
import { checkKeysInLogs } from './logging.js';

const PLACE_NAMES = ['prefix', 'name', 'scope'];
const RUN_OPTION_NAMES = [
  ...COMMON_OPTION_NAMES,
  ...PLACE_NAMES,
  ...['payload', 'signal', 'remember', 'onAbandoned'],
];
const INSTANCE_OPTION_NAMES = [
  ...COMMON_OPTION_NAMES,
  ...PLACE_NAMES,
  ...['store', 'remember', 'codec', 'logger', 'pepper', 'keysInLogs'],
];

const invalid = (message: string) => new UsageError('INVALID_OPTIONS', message);

/** @throws UsageError INVALID_OPTIONS */
export function checkInstanceOptions(options: {
  store?: unknown;
  remember?: unknown;
  codec?: unknown;
  logger?: unknown;
  pepper?: unknown;
  keysInLogs?: unknown;
}): void {
  checkNames('createIdempotency()', options, INSTANCE_OPTION_NAMES);
  if (!isLeaseStore(options.store)) {
    throw invalid(
      `store is ${show(options.store)}: give a RedisStore, an InMemoryStore, or another object with claim()`,
    );
  }
  checkRemember(options.remember);
  checkObject('codec', options.codec);
  checkObject('logger', options.logger);
  checkPepper(options.pepper);
  checkKeysInLogs(options.keysInLogs);
}

const LEAST_PEPPER = 16;

function checkPepper(pepper: unknown): void {
  if (pepper === undefined || (typeof pepper === 'string' && pepper.length >= LEAST_PEPPER)) return;
  throw invalid(
    `pepper is no text of ${LEAST_PEPPER} characters or more (it is not shown, since it is a secret)`,
  );
}

/** @throws UsageError INVALID_OPTIONS */
export function checkRun(work: unknown, options: { remember?: unknown }): void {
  checkNames('run()', options, RUN_OPTION_NAMES);
  checkRemember(options.remember);
  if (typeof work !== 'function')
    throw invalid(`the work is ${show(work)}: give the function that is to run once`);
}

/** @throws UsageError INVALID_OPTIONS */
export function checkPlace(method: string, where: unknown, more: readonly string[] = []): void {
  checkNames(method, where, [...PLACE_NAMES, ...more]);
}

/** @throws UsageError INVALID_OPTIONS */
export function checkOutcomeByHand(outcome: unknown): void {
  checkNames('the outcome of resolve()', outcome, ['result', 'error']);
  if (Object.keys(outcome as object).length !== 1)
    throw invalid('an outcome by hand is { result } or { error }, one of the two');
}

/** @throws UsageError INVALID_OPTIONS */
export function checkListener(event: unknown, listener: unknown): void {
  if (!isEventName(event)) throw invalid(`there is no event ${show(event)}`);
  if (typeof listener !== 'function') throw invalid(`the listener is ${show(listener)}: give a function`);
}
