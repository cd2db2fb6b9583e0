import { Events, type EventDetail, type EventName, type Tally } from './core/events.js';
import { show } from './core/options.js';

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
const WARNINGS: Partial<Record<EventName, (detail: EventDetail) => string>> = {
  'lease-lost': () => 'lost its lease while it ran; another attempt may run it',
  unrecorded: () => 'ended, and the store could not be told in time; recording goes on in the background',
  superseded: () => 'ended, and its outcome was refused: a newer attempt or a person holds the record',
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
    if (!logger) return process.emitWarning(message, 'TwiceshyWarning');
    try {
      logger.warn?.(message, detail);
    } catch {
      // A call never fails because its logger does.
    }
  };
}

/** Events that are reported to the logger, or as process warnings where there is none. */
export function reportEvents(logger: Logger | undefined, tally?: Tally): Events {
  const warn = warnThrough(logger);
  const events = new Events((error) => warn(`a listener threw: ${messageOf(error)}`, { error }), tally);
  for (const [event, words] of Object.entries(WARNINGS)) {
    events.on(event as EventName, (detail) =>
      warn(`twiceshy: ${detail.name} "${detail.key}" ${words(detail)}`, detail),
    );
  }
  return events;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : show(error);
}
