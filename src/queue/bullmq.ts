import { show } from '../core/check.js';
import type { Remember } from '../core/options.js';
import { warnThrough } from '../idempotency/logging.js';
import { makeConsumer, type Closable } from './internal/consume.js';
import type { ConsumerOptions, WithDefaults } from './internal/options.js';

/** The members of a BullMQ Job that are used here. */
export interface JobLike {
  readonly id?: string | undefined;
  readonly queueName: string;
  /** When it was added: milliseconds since 1970. */
  readonly timestamp: number;
  readonly deduplicationId?: string | undefined;
  readonly opts?: { readonly deduplication?: Throttle | undefined };
  moveToDelayed(timestamp: number, token?: string): Promise<void>;
}

interface Throttle {
  readonly id?: string | undefined;
  readonly ttl?: number | undefined;
  readonly keepLastIfActive?: boolean | undefined;
}

/**
 * The options of {@link idempotentProcessor}: those of a consumer. By default `name` is the queue's name, and `key` is
 * {@link jobKey}.
 */
export type ProcessorOptions<J extends JobLike, R> = WithDefaults<ConsumerOptions<J, R>>;

/** A processor, to be passed to a BullMQ Worker. */
export interface IdempotentProcessor<J extends JobLike, R> extends Closable {
  (job: J, token?: string): Promise<R>;
}

/**
 * The default key of a job: its deduplication id, or without one the job's id. A deduplication id with a `ttl` or
 * `keepLastIfActive` only throttles work that may run again, so it is not used as the key. A job id that BullMQ counted up itself
 * is combined with the time when the job was added, because the count restarts after `obliterate()`.
 */
export function jobKey(job: JobLike): string | undefined {
  const { id, deduplicationId, timestamp } = job;
  const { ttl, keepLastIfActive } = job.opts?.deduplication ?? {};
  // Can't be a job id: BullMQ does not allow this many colons in one.
  if (deduplicationId !== undefined && !ttl && !keepLastIfActive) return `dedup:::${deduplicationId}`;
  return id !== undefined && /^\d+$/.test(id) ? `${id}:${timestamp}` : id;
}

/**
 * Makes a BullMQ processor that runs each job once, even if the job is stalled, retried or added twice. A job that has finished
 * before completes with the recorded result. An error of the handler counts against the job's `attempts` and `backoff`. A job is
 * delayed, and uses up no attempt, while it runs elsewhere or the store is unavailable. A job that is dropped fails for good,
 * and stays among the failed jobs.
 *
 * @example new Worker('orders', idempotentProcessor({ store, handler: async (job: Job<Order>, { step }) => ... }), ...)
 * @throws UsageError INVALID_OPTIONS
 */
export function idempotentProcessor<J extends JobLike, R>(
  options: ProcessorOptions<J, R>,
): IdempotentProcessor<J, R> {
  const name = (job: J) => job.queueName;
  const broker = { name, key: jobKey, remember: rememberSignals };
  let hasWarned = false;
  const consume = makeConsumer<J, R>('idempotentProcessor()', options as ConsumerOptions<J, R>, broker);
  const warn = warnThrough(consume.logger);
  // Read once, like all options. An undefined key was refused above.
  const hasOwnKey = 'key' in options;
  const process = async (job: J, token?: string): Promise<R> => {
    if (!hasWarned && !hasOwnKey && isDeduplicationLost(job)) {
      hasWarned = true;
      warn(LOST_DEDUPLICATION, { name: job.queueName, key: job.id });
    }
    const delivery = await consume(job);
    switch (delivery.action) {
      case 'ack':
        return delivery.result as R;
      case 'drop':
        throw signal('UnrecoverableError', delivery.error);
      case 'retry':
        // Thrown unchanged, so that BullMQ counts it as one of the job's attempts.
        if (delivery.failed) throw delivery.error;
        await job.moveToDelayed(Date.now() + delivery.delayMs, token);
        throw signal('DelayedError', delivery.error, MOVED_TO_DELAYED);
    }
  };
  return Object.assign(process, { idempotency: consume.idempotency, close: () => consume.close() });
}

const errorText = (cause: unknown): string => (cause instanceof Error ? cause.message : show(cause));

const LOST_DEDUPLICATION =
  'twiceshy: idempotentProcessor(): a job was added with the option deduplication.id, but has no deduplicationId: this version of BullMQ ' +
  'does not keep it, so each such job counts as another job. Install bullmq 5.25 or later, or give the option key';

/** Whether BullMQ dropped the sender's deduplication id, as versions before 5.25 do. */
function isDeduplicationLost({ deduplicationId, opts }: JobLike): boolean {
  return deduplicationId === undefined && opts?.deduplication?.id !== undefined;
}

/** BullMQ's errors that say that the job was moved or must wait. They are not failures. */
const MOVED = new Set(['DelayedError', 'WaitingError', 'WaitingChildrenError', 'RateLimitError']);

/** Handles BullMQ's own errors before the user's `remember` is asked about the others. */
function rememberSignals(given: Remember<unknown>): Remember<unknown> {
  return (error) => {
    const name = error instanceof Error ? error.name : undefined;
    if (name !== undefined && MOVED.has(name)) return 'release';
    if (name === 'UnrecoverableError') return 'final';
    return typeof given === 'function' ? given(error) : given === 'all';
  };
}

/** The message of BullMQ's own DelayedError: older workers check the message instead of the name. */
const MOVED_TO_DELAYED = 'bullmq:movedToDelayed';

/** An error that BullMQ recognises by its name or message, so its classes need not be imported. */
function signal(
  name: 'UnrecoverableError' | 'DelayedError',
  cause: unknown,
  message = errorText(cause),
): Error {
  const error = new Error(message, { cause });
  error.name = name;
  return error;
}
