import type { ContextOf } from './context.js';

/** How a task ended. */
export type ResultStatus = 'success' | 'skipped' | 'failed';

/** How far a task got: `complete` for a success, `interrupted` for skipped and failed. */
export type ResultState = 'initialized' | 'executing' | 'complete' | 'interrupted';

/** The constructor argument of {@link Result}. */
export interface ResultParts<T extends object = Record<string, unknown>> {
  readonly task: object;
  readonly context: ContextOf<T>;
  readonly chain: readonly object[];
  readonly index: number;
  readonly state: ResultState;
  readonly status: ResultStatus;
  readonly reason?: string | undefined;
  readonly cause?: unknown;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly retries?: number;
  readonly rolledBack?: boolean;
}

/** How one execution ended. Frozen, and its metadata too. */
export class Result<T extends object = Record<string, unknown>> {
  readonly task: object;
  readonly context: ContextOf<T>;
  /** The tasks of the workflow, in the order in which they began. */
  readonly chain: readonly object[];
  /** The task's place in the chain. */
  readonly index: number;
  readonly state: ResultState;
  readonly status: ResultStatus;
  /** Why it was skipped or failed. */
  readonly reason: string | undefined;
  /** What `work()` threw. Undefined for a success, and for a failure that the task declared itself. */
  readonly cause: unknown;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly retries: number;
  readonly rolledBack: boolean;

  constructor(parts: ResultParts<T>) {
    this.task = parts.task;
    this.context = parts.context;
    this.chain = parts.chain;
    this.index = parts.index;
    this.state = parts.state;
    this.status = parts.status;
    this.reason = parts.reason;
    this.cause = parts.cause;
    this.metadata = Object.freeze({ ...parts.metadata });
    this.retries = parts.retries ?? 0;
    this.rolledBack = parts.rolledBack ?? false;
    Object.freeze(this);
  }

  get success(): boolean {
    return this.status === 'success';
  }

  get skipped(): boolean {
    return this.status === 'skipped';
  }

  get failed(): boolean {
    return this.status === 'failed';
  }

  /** Success or skipped. */
  get good(): boolean {
    return !this.failed;
  }

  /** Skipped or failed. */
  get bad(): boolean {
    return !this.success;
  }

  get complete(): boolean {
    return this.state === 'complete';
  }

  get interrupted(): boolean {
    return this.state === 'interrupted';
  }
}

/** What `executeStrict()` throws for a failed result. */
export class TaskFailedError extends Error {
  override readonly name = 'TaskFailedError';

  constructor(readonly result: Result<never>) {
    super(result.reason ?? 'the task failed', { cause: result.cause });
  }
}
