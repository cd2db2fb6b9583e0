import type { Attempt } from '../core/attempt/attempt.js';
import {
  ANY,
  choice,
  inherit,
  invalid,
  readOptions,
  show,
  type InheritanceTable,
  type Option,
  type OptionTable,
} from '../core/check.js';
import {
  abandonedRule,
  COMMON_INHERITANCE,
  COMMON_OPTIONS,
  KEY,
  NAME,
  ON_ABANDONED,
  REMEMBER,
  resolvePolicy,
  SCOPE,
  TTL_IN_SECONDS,
  type CommonOptions,
  type Duration,
  type Remember,
  type RunPolicy,
} from '../core/options.js';
import type { DuplicateAnswer } from '../core/outcome.js';
import type { AbandonedRule } from '../core/record.js';
import type { ResultLike, SavedResult, TaskLike } from './contract.js';

/** What a reconcile function found out: `'run'` to run the task, or the result to record. */
export type TaskReconciled = 'run' | Pick<SavedResult, 'status' | 'reason' | 'metadata' | 'context'>;

// A type and not an interface: an interface is not assignable to the Record<string, unknown> of a middleware tuple.
/** Options of an {@link IdempotencyMiddleware} that are the defaults of all its tasks. */
export type TaskDefaults<Task = TaskLike> = Omit<CommonOptions, 'ttl'> & {
  /** How long results are kept (retention). A number means **seconds** here; text such as `'24h'` is clearer. @default '24h' */
  ttl?: Duration;
  /** What a duplicate of a finished task gets: a skipped result, a failed one, or the recorded one. @default 'skip' */
  onDuplicate?: 'skip' | 'fail' | 'return-cached';
  /** The first part of every address. @default 'idempotency' */
  prefix?: string;
  /** The tenant that the key belongs to. @default none */
  scope?: string | ((task: Task) => string);
  /** Which failed results are final. @default business failures, which the task declared itself: those without a cause */
  remember?: Remember<ResultLike>;
  /** What happens after a crash: run again, refuse with IN_DOUBT, or call a function that finds out. @default 'retry' */
  onAbandoned?:
    'retry' | 'block' | ((task: Task, attempt: Attempt) => TaskReconciled | Promise<TaskReconciled>);
};

/** The options of one task's entry in `static middlewares`. */
export type TaskOptions<Task = TaskLike> = TaskDefaults<Task> & {
  /** The idempotency key, or a function that makes it from the task. */
  key: string | ((task: Task) => string | Promise<string>);
  /** The name of the operation. @default the task's class name */
  name?: string;
  /** Its fingerprint is recorded: the same key with another payload is refused with KEY_REUSED. @default none */
  payload?: (task: Task) => unknown;
};

export const TASK_DEFAULTS = {
  ...COMMON_OPTIONS,
  ttl: TTL_IN_SECONDS,
  onDuplicate: choice('skip', 'fail', 'return-cached'),
  // Here undefined means the default, as in the plain recipe.
  prefix: ANY,
  scope: SCOPE,
  remember: REMEMBER,
  onAbandoned: ON_ABANDONED,
} satisfies OptionTable<TaskDefaults>;

const TASK_KEY: Option = {
  check: (value, option) => {
    if (typeof value === 'string' || typeof value === 'function') return value;
    KEY.check(value, option);
    throw invalid(`${option} is ${show(value)}: give a string, or a function of the task`);
  },
};
const TASK_PAYLOAD: Option = {
  check: (value, option) => {
    if (typeof value === 'function') return value;
    throw invalid(`${option} is ${show(value)}: give a function of the task`);
  },
  refusesUndefined: 'INVALID_OPTIONS',
};

export const TASK_OPTIONS = {
  ...TASK_DEFAULTS,
  key: { ...TASK_KEY, refusesUndefined: 'INVALID_KEY' },
  name: NAME,
  payload: TASK_PAYLOAD,
} satisfies OptionTable<TaskOptions>;

/** How the entry of a task uses the options of the middleware. */
export const TASK_INHERITANCE = {
  ...COMMON_INHERITANCE,
  onDuplicate: 'inherited',
  prefix: 'inherited',
  scope: 'inherited',
  remember: 'inherited',
  onAbandoned: 'inherited',
} satisfies InheritanceTable<TaskDefaults>;

const HOW: Record<NonNullable<TaskDefaults['onDuplicate']>, DuplicateAnswer> = {
  skip: 'skip',
  fail: 'fail',
  'return-cached': 'replay',
};
/** The checked options of a task's entry, completed by the middleware's defaults. */
export interface TaskSettings {
  readonly options: TaskOptions;
  readonly policy: RunPolicy;
  readonly onDuplicate: DuplicateAnswer;
  readonly onAbandoned: AbandonedRule;
}

/**
 * Checks the options of a task's entry, and adds those of its middleware, which are checked already.
 * @throws UsageError INVALID_OPTIONS, INVALID_KEY
 */
export function taskSettings(
  given: object,
  defaults: TaskDefaults,
  warn: (message: string) => void,
): TaskSettings {
  const where = 'IdempotencyMiddleware';
  const note = (message: string) => warn(`twiceshy: ${message}`);
  const own = readOptions<TaskOptions>(where, TASK_OPTIONS, given as TaskOptions, note);
  TASK_KEY.check(own.key, 'key');
  const options = inherit(where, TASK_INHERITANCE, defaults, own);
  return {
    options,
    policy: resolvePolicy(options),
    onDuplicate: HOW[options.onDuplicate ?? 'skip'],
    onAbandoned: abandonedRule(options.onAbandoned),
  };
}
