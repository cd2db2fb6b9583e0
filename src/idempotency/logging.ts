import { emitWarning } from '../core/warn.js';
import { choice, messageOf } from '../core/check.js';
import { Events, type EventDetail, type EventName, type Tally } from '../core/events.js';
import { sha256Hex } from '../keys/index.js';

/** Any subset of these; what is missing is not logged. */
export interface Logger {
  debug?(message: string, detail?: unknown): void;
  info?(message: string, detail?: unknown): void;
  warn?(message: string, detail?: unknown): void;
  error?(message: string, detail?: unknown): void;
}

/** Of an error whose objects are not recorded. */
export const droppedMembers = ({ paths = [] }: EventDetail) =>
  `failed, and is recorded without ${paths.join(', ')}, where clients keep what they sent and received; duplicates get the ` +
  'error without them, unless codec.errors.keep names them';

/** The events that somebody should hear of, in words. */
const WARNINGS: Partial<Record<EventName, (detail: EventDetail) => string | undefined>> = {
  'lease-lost': () => 'lost its lease while it ran; another attempt may run it',
  unrecorded: () => 'ended, and the store could not be told in time; recording goes on in the background',
  superseded: () => 'ended, and its outcome was refused: a newer attempt or a person holds the record',
  // A lost withdrawal blocks the key until the lease ends, and no longer; an outage may bring many of them.
  'given-up': ({ what }) =>
    what === 'outcome'
      ? 'ended, and the store is not told: too many outcomes wait for it, or it was away for too long'
      : what === 'value'
        ? 'ended, and will be recorded without its value: too many outcomes wait for the store'
        : undefined,
  unprotected: () => 'runs unprotected: the store could not be asked, and onStoreError is "run"',
  'dropped-members': droppedMembers,
  'no-value': (detail) =>
    `ended, and was recorded without its value, because of ${detail.path ?? 'it'}: ${messageOf(detail.error)}`,
  'no-verdict': (detail) =>
    `failed, and remember was of no help, so that its default decided: ${messageOf(detail.error)}`,
};

/** Where warnings go: to the logger, or where there is none, to the process. */
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

/** Tells each message once: the loop of a caller must not fill a log. */
export function onceEach(tell: (message: string) => void): (message: string) => void {
  const told = new Set<string>();
  return (message) => {
    if (told.has(message) || told.size >= MAX_REMEMBERED) return;
    told.add(message);
    tell(message);
  };
}

/** How keys stand in warnings: as they are, or as the first 16 hex digits of their SHA-256. */
export type KeysInLogs = 'plain' | 'hash';

export const KEYS_IN_LOGS = choice('plain', 'hash');

function keyInLogs(key: string, mode: KeysInLogs = 'plain'): string {
  return mode === 'hash' ? sha256Hex(key).slice(0, 16) : key;
}

/** What an event tells, as a log may have it: errors of ours name the key too. */
export function inLogs<D extends { readonly key: string; readonly error?: unknown }>(
  detail: D,
  mode: KeysInLogs = 'plain',
): D {
  if (mode === 'plain') return detail;
  const key = keyInLogs(detail.key, mode);
  if (detail.error === undefined) return { ...detail, key };
  const { name, code } = Object(detail.error) as { name?: unknown; code?: unknown };
  // Its stack and its causes may name the key as well.
  const error = Object.assign(new Error(messageOf(detail.error).replaceAll(detail.key, key)), { name, code });
  return { ...detail, key, error };
}

/** Events that are reported to the logger, or as process warnings where there is none. */
export function reportEvents(logger: Logger | undefined, tally?: Tally, keys?: KeysInLogs): Events {
  const warn = warnThrough(logger);
  const events = new Events((error) => warn(`a listener threw: ${messageOf(error)}`, { error }), tally);
  for (const [event, words] of Object.entries(WARNINGS)) {
    events.on(event as EventName, (told) => {
      const detail = inLogs(told, keys);
      const said = words(detail);
      if (said !== undefined) warn(`twiceshy: ${detail.name} "${detail.key}" ${said}`, detail);
    });
  }
  return events;
}
