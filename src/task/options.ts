import type { Attempt } from '../core/attempt.js';
import { UsageError } from '../core/errors.js';
import {
  abandonedRule,
  checkNames,
  checkRemember,
  COMMON_OPTION_NAMES,
  parseChoice,
  parseDuration,
  resolvePolicy,
  show,
  type CommonOptions,
  type Duration,
  type Remember,
  type RunPolicy,
} from '../core/options.js';
import type { DuplicateAnswer } from '../core/outcome.js';
import type { AbandonedRule } from '../core/record.js';
import type { ResultLike, SavedResult, TaskLike } from './contract.js';

/** What a reconcile function found out: `run`, or the result as it is to be recorded. */
export type TaskReconciled = 'run' | Pick<SavedResult, 'status' | 'reason' | 'metadata' | 'context'>;

// A type, not an interface: only so is it assignable to the Record<string, unknown> of a middleware tuple.
/** The defaults that an {@link IdempotencyMiddleware} can be given for all its tasks. */
export type TaskDefaults<Task = TaskLike> = Omit<CommonOptions, 'ttl'> & {
  /** Retention: a number is **seconds** here; text such as `'24h'` is plain. @default '24h' */
  ttl?: Duration;
  /** How a finished duplicate is answered. @default 'skip' */
  onDuplicate?: 'skip' | 'fail' | 'return-cached';
  /** Stands first in every address. @default 'idempotency' */
  prefix?: string;
  /** The tenant whose keys these are. @default none */
  scope?: string | ((task: Task) => string);
  /** Which failed results are final. @default business failures: those without a cause */
  remember?: Remember<ResultLike>;
  /** What is done after a crash. @default 'retry' */
  onAbandoned?:
    'retry' | 'block' | ((task: Task, attempt: Attempt) => TaskReconciled | Promise<TaskReconciled>);
};

/** The options of one task's entry in `static middlewares`. */
export type TaskOptions<Task = TaskLike> = TaskDefaults<Task> & {
  /** The idempotency key, or a function of the task that gives it. */
  key: string | ((task: Task) => string | Promise<string>);
  /** The operation. @default the task's class name */
  name?: string;
  /** Fingerprinted: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: (task: Task) => unknown;
};

export const TASK_DEFAULT_NAMES = [
  ...COMMON_OPTION_NAMES,
  ...['onDuplicate', 'prefix', 'scope', 'remember', 'onAbandoned'],
];
const TASK_OPTION_NAMES = [...TASK_DEFAULT_NAMES, 'key', 'name', 'payload'];
const HOW: Record<NonNullable<TaskDefaults['onDuplicate']>, DuplicateAnswer> = {
  skip: 'skip',
  fail: 'fail',
  'return-cached': 'replay',
};
/** A ttl of so many seconds is over 41 days: whoever writes it means milliseconds. */
const SUSPICIOUS_TTL_SECONDS = 3_600_000;

/** Options, checked, over the middleware's defaults. */
export interface TaskSettings {
  readonly options: TaskOptions;
  readonly policy: RunPolicy;
  readonly onDuplicate: DuplicateAnswer;
  readonly onAbandoned: AbandonedRule;
}

/**
 * @throws UsageError INVALID_OPTIONS
 */
export function taskSettings(
  given: object,
  defaults: TaskDefaults,
  warn: (message: string) => void,
): TaskSettings {
  checkNames('IdempotencyMiddleware', given, TASK_OPTION_NAMES);
  const options = { ...defaults, ...withoutUndefined(given) } as TaskOptions;
  if (typeof options.key !== 'string' && typeof options.key !== 'function') {
    throw new UsageError(
      'INVALID_OPTIONS',
      `key is ${show(options.key)}: give a string, or a function of the task`,
    );
  }
  return { options, ...parseTaskDefaults(options, warn) };
}

/**
 * Checks what may be given as a default and for a task alike.
 * @throws UsageError INVALID_OPTIONS
 */
export function parseTaskDefaults(
  options: TaskDefaults,
  warn: (message: string) => void,
): Omit<TaskSettings, 'options'> {
  const { ttl, onDuplicate = 'skip', ...rest } = options;
  if (typeof ttl === 'number' && ttl >= SUSPICIOUS_TTL_SECONDS) {
    warn(
      `twiceshy: ttl is ${ttl} seconds, which is ${Math.round(ttl / 86_400)} days; milliseconds were probably meant`,
    );
  }
  checkRemember(options.remember);
  const ttlMs = ttl === undefined ? {} : { ttl: parseDuration('ttl', ttl, 1_000) };
  return {
    policy: resolvePolicy({ ...pickCommon(rest), ...ttlMs }),
    onDuplicate: HOW[parseChoice('onDuplicate', onDuplicate, ['skip', 'fail', 'return-cached'])],
    onAbandoned: abandonedRule(options.onAbandoned),
  };
}

function pickCommon(options: Record<string, unknown>): CommonOptions {
  return Object.fromEntries(COMMON_OPTION_NAMES.map((name) => [name, options[name]]));
}

function withoutUndefined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
