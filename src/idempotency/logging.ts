import { emitWarning } from '../core/warn.js';
import { choice, errorMessage } from '../core/check.js';
import { Events, type EventDetail, type EventName, type Tally } from '../core/events.js';
import { sha256Hex } from '../keys/index.js';

/** A logger with any of these methods. Messages of a missing level are dropped. */
export interface Logger {
  debug?(message: string, detail?: unknown): void;
  info?(message: string, detail?: unknown): void;
  warn?(message: string, detail?: unknown): void;
  error?(message: string, detail?: unknown): void;
}

/** The warning about an error that is recorded without some of its members. */
export const droppedMembers = ({ paths = [] }: EventDetail) =>
  `failed, and its error is recorded without ${paths.join(', ')}: objects are left out, because clients keep requests and ` +
  'responses there. Duplicates get the error without them, unless codec.errors.keep names them';

/** The events that are logged as warnings, with their text. */
const WARNINGS: Partial<Record<EventName, (detail: EventDetail) => string | undefined>> = {
  'lease-lost': () => 'lost its lease while it ran; another attempt may run it',
  unrecorded: () =>
    'ended, but its outcome could not be recorded in time; recording continues in the background',
  superseded: () => 'ended, and its outcome was refused: a newer attempt or a person holds the record',
  // A lost withdrawal of a claim is not logged: it only blocks the key until the lease ends, and an outage may bring many.
  'given-up': ({ what }) =>
    what === 'outcome'
      ? 'ended, and its outcome will not be recorded: too many outcomes wait for the store, or it was unavailable for too long'
      : what === 'value'
        ? 'ended, and will be recorded without its value: too many outcomes wait for the store'
        : undefined,
  unprotected: () => 'runs unprotected: the store is unavailable, and onStoreError is "run"',
  'dropped-members': droppedMembers,
  'no-value': (detail) =>
    `ended, and was recorded without its value, because of ${detail.path ?? 'it'}: ${errorMessage(detail.error)}`,
  'no-verdict': (detail) =>
    `failed, and remember gave no usable answer, so its default was used: ${errorMessage(detail.error)}`,
};

/** A function that sends warnings to the logger, or without one to `process.emitWarning`. */
export function warnThrough(logger: Logger | undefined): (message: string, detail?: unknown) => void {
  return (message, detail) => {
    if (!logger) return emitWarning(message);
    try {
      logger.warn?.(message, detail);
    } catch {
      // A call never fails because its logger does.
    }
  };
}

const MAX_REMEMBERED = 100;

/** Passes each message on once, so that a caller in a loop does not fill the log. */
export function onceEach(tell: (message: string) => void): (message: string) => void {
  const told = new Set<string>();
  return (message) => {
    if (told.has(message) || told.size >= MAX_REMEMBERED) return;
    told.add(message);
    tell(message);
  };
}

/** How keys appear in warnings: plain, or as the first 16 hex digits of their SHA-256. */
export type KeysInLogs = 'plain' | 'hash';

export const KEYS_IN_LOGS = choice('plain', 'hash');

function keyInLogs(key: string, mode: KeysInLogs = 'plain'): string {
  return mode === 'hash' ? sha256Hex(key).slice(0, 16) : key;
}

/**
 * The detail of an event in the form that may be logged. With hashed keys its error is replaced too, since messages name the key.
 */
export function inLogs<D extends { readonly key: string; readonly error?: unknown }>(
  detail: D,
  mode: KeysInLogs = 'plain',
): D {
  if (mode === 'plain') return detail;
  const key = keyInLogs(detail.key, mode);
  if (detail.error === undefined) return { ...detail, key };
  const { name, code } = Object(detail.error) as { name?: unknown; code?: unknown };
  // A new error, because the stack and the causes of the original may contain the key.
  const error = Object.assign(new Error(errorMessage(detail.error).replaceAll(detail.key, key)), {
    name,
    code,
  });
  return { ...detail, key, error };
}

/** Events that are also reported as warnings: to the logger, or without one to the process. */
export function reportEvents(logger: Logger | undefined, tally?: Tally, keys?: KeysInLogs): Events {
  const warn = warnThrough(logger);
  const events = new Events((error) => warn(`a listener threw: ${errorMessage(error)}`, { error }), tally);
  for (const [event, words] of Object.entries(WARNINGS)) {
    events.on(event as EventName, (told) => {
      const detail = inLogs(told, keys);
      const said = words(detail);
      if (said !== undefined) warn(`twiceshy: ${detail.name} "${detail.key}" ${said}`, detail);
    });
  }
  return events;
}
