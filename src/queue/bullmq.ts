import { show } from '../core/check.js';
import type { Remember } from '../core/options.js';
import { warnThrough } from '../idempotency/logging.js';
import { makeConsumer, type Closable } from './internal/consume.js';
import type { ConsumerOptions, WithDefaults } from './internal/options.js';

/** The part of a BullMQ Job that we use. */
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
 * The options of {@link idempotentProcessor}: a consumer's, where `name` is the queue's name by default, and `key` the
 * {@link jobKey}.
 */
export type ProcessorOptions<J extends JobLike, R> = WithDefaults<ConsumerOptions<J, R>>;

/** What a Worker takes. */
export interface IdempotentProcessor<J extends JobLike, R> extends Closable {
  (job: J, token?: string): Promise<R>;
}

/**
 * The default key of a job: its deduplication id, or else its own id. A deduplication id with a `ttl` or
 * `keepLastIfActive` throttles work that is meant to run again, so that it is no identity. A number that BullMQ
 * counted up itself comes with the time when the job was added, since the count starts anew after `obliterate()`.
 */
export function jobKey(job: JobLike): string | undefined {
  const { id, deduplicationId, timestamp } = job;
  const { ttl, keepLastIfActive } = job.opts?.deduplication ?? {};
  // BullMQ allows no job id with this many colons, nor one with just one.
  if (deduplicationId !== undefined && !ttl && !keepLastIfActive) return `dedup:::${deduplicationId}`;
  return id !== undefined && /^\d+$/.test(id) ? `${id}:${timestamp}` : id;
}

/**
 * Wraps a BullMQ processor: a job that comes again (stalled, retried, or added twice) is run once. A finished one
 * completes with the recorded result. What the handler throws goes by the job's `attempts` and `backoff`; a job that is
 * running elsewhere, and one for which the store can't be asked, is delayed and uses up none of them. What is given up
 * fails for good, and stays among the failed jobs.
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
  // Read once, like all options; one that is undefined was refused.
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
        // Thrown as it is: BullMQ counts it as one of the job's attempts.
        if (delivery.failed) throw delivery.error;
        await job.moveToDelayed(Date.now() + delivery.delayMs, token);
        throw signal('DelayedError', delivery.error, MOVED_TO_DELAYED);
    }
  };
  return Object.assign(process, { idempotency: consume.idempotency, close: () => consume.close() });
}

const errorText = (cause: unknown): string => (cause instanceof Error ? cause.message : show(cause));

const LOST_DEDUPLICATION =
  'twiceshy: idempotentProcessor(): a job was added with the option deduplication.id, and has no deduplicationId: this BullMQ is too old to ' +
  'keep it, so that each such job counts as a job of its own. Install bullmq 5.25 or later, or give the option key';

/** Whether BullMQ dropped the id that the sender gave: versions before 5.25 do. */
function isDeduplicationLost({ deduplicationId, opts }: JobLike): boolean {
  return deduplicationId === undefined && opts?.deduplication?.id !== undefined;
}

/** By these a processor tells its worker that the job was moved, or that it must wait: nothing has failed. */
const MOVED = new Set(['DelayedError', 'WaitingError', 'WaitingChildrenError', 'RateLimitError']);

/** What BullMQ's own errors mean that a handler throws; all others are left to the user. */
function rememberSignals(given: Remember<unknown>): Remember<unknown> {
  return (error) => {
    const name = error instanceof Error ? error.name : undefined;
    if (name !== undefined && MOVED.has(name)) return 'release';
    if (name === 'UnrecoverableError') return 'final';
    return typeof given === 'function' ? given(error) : given === 'all';
  };
}

/** The message of BullMQ's own DelayedError: older workers look at it instead of the name. */
const MOVED_TO_DELAYED = 'bullmq:movedToDelayed';

/** An error that BullMQ knows by its name or message, so that its classes need not be imported. */
function signal(
  name: 'UnrecoverableError' | 'DelayedError',
  cause: unknown,
  message = errorText(cause),
): Error {
  const error = new Error(message, { cause });
  error.name = name;
  return error;
}
