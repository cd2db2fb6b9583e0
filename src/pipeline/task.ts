import { Attribute } from './attributes.js';
import { Context, type ContextOf } from './context.js';
import { runThrough, type Definition, type Middleware } from './middleware.js';
import { Result, TaskFailedError, type ResultState, type ResultStatus } from './result.js';

/** `(task, options, next) => Promise<Result>`. */
export type MiddlewareFunction = Middleware<Task, Result>;
/** An entry of `static middlewares`. The first one is the outermost. */
export type MiddlewareDefinition = Definition<Task, Result>;

interface TaskClass<T extends object> {
  // Only this member: T can't be inferred from the whole class.
  new (): { readonly _shape: T };
  readonly middlewares: readonly MiddlewareDefinition[];
}

interface Ending {
  readonly status: ResultStatus;
  readonly reason?: string;
  readonly cause?: unknown;
  readonly metadata?: Record<string, unknown>;
  readonly rolledBack?: boolean;
}

/** Thrown by `skip` and `fail`, to leave `work()`. */
class Halt extends Error {
  constructor(readonly ending: Ending) {
    super(`${ending.status}: ${ending.reason ?? ''}`);
  }
}

const chains = new WeakMap<Context<never>, Task[]>();

/**
 * One operation: a class with `work()`. Its inputs are attributes of a shared context, and it ends with a {@link Result}.
 *
 * This is a minimal pipeline with the interface of cero-ts, for examples, for tests, and for readers without a framework. It has
 * no retries, no workflows, and only the callbacks below.
 *
 * ```ts
 * class ChargeCard extends Task {
 *   static override middlewares: MiddlewareDefinition[] = [];
 *   orderId = required('string');
 *   async work() {
 *     this.context.set('chargeId', await charge(this.orderId));
 *   }
 * }
 * const result = await ChargeCard.execute({ orderId: 'o-1' });
 * ```
 */
export abstract class Task<T extends object = Record<string, unknown>> {
  static middlewares: MiddlewareDefinition[] = [];

  /** @internal Exists as a type only, so that `execute()` can infer the type of the context. */
  declare readonly _shape: T;

  #context = Context.from<T>();
  #chain: Task[] = [];
  #attributes: [string, Attribute][] = [];
  #ending: Ending = { status: 'success' };
  /** @internal */
  _index = 0;
  /** @internal How far the task got. Middlewares read it when `next()` rejects. */
  _state: ResultState = 'initialized';

  /**
   * Runs the task on `input`: the values of a new context, or the context of another task, which is then shared.
   * If the work fails, it resolves with a failed result. It rejects if a middleware or a callback throws.
   */
  static async execute<T extends object>(
    this: TaskClass<T>,
    input: Partial<NoInfer<T>> | Context<NoInfer<T>> = {},
  ): Promise<Result<T>> {
    const task = new this() as Task<T>;
    task.#begin(input instanceof Context ? (input as ContextOf<T>) : Context.from<T>(input));
    // Middlewares are written for tasks of any context.
    const result = await runThrough<Task, Result>(this.middlewares, task as unknown as Task, () =>
      task.#run(),
    );
    return result as Result<T>;
  }

  /**
   * Like `execute()`, but throws if the task failed.
   * @throws TaskFailedError if the result is failed
   */
  static async executeStrict<T extends object>(
    this: TaskClass<T>,
    input: Partial<NoInfer<T>> | Context<NoInfer<T>> = {},
  ): Promise<Result<T>> {
    const result = await Task.execute.call(this, input);
    if (result.failed) throw new TaskFailedError(result as Result<never>);
    return result;
  }

  /** The operation itself. Its return value is ignored: put results into the context. */
  abstract work(): unknown;

  /** Called after the work failed, to undo it. If it throws, `execute()` rejects, in the state `executing`. */
  rollback?(): unknown;

  /** Called after a success. If it throws, `execute()` rejects. */
  onSuccess?(result: Result<T>): unknown;

  /** Called after a failure. If it throws, `execute()` rejects. */
  onFailed?(result: Result<T>): unknown;

  /** Called after the work was skipped. If it throws, `execute()` rejects. */
  onSkipped?(result: Result<T>): unknown;

  get context(): ContextOf<T> {
    return this.#context;
  }

  /** The tasks that share the context, in the order in which they began. */
  get chain(): readonly Task[] {
    return this.#chain;
  }

  /** Ends the work as skipped. */
  protected skip(reason: string, metadata: Record<string, unknown> = {}): never {
    throw new Halt({ status: 'skipped', reason, metadata });
  }

  /** Ends the work as failed. The task itself declares the failure, so the result has no cause. */
  protected fail(reason: string, metadata: Record<string, unknown> = {}): never {
    throw new Halt({ status: 'failed', reason, metadata });
  }

  /** @internal The result in the current state. */
  _createResult(): Result<T> {
    return new Result<T>({
      task: this,
      context: this.#context,
      chain: this.#chain,
      index: this._index,
      state: this._state,
      ...this.#ending,
    });
  }

  #begin(context: ContextOf<T>): void {
    this.#context = context;
    this.#chain = chains.get(context) ?? [];
    chains.set(context, this.#chain);
    this._index = this.#chain.push(this as unknown as Task) - 1;
    this.#attributes = Object.entries(this).filter(
      (entry): entry is [string, Attribute] => entry[1] instanceof Attribute,
    );
    // Before the middlewares run, so that key functions can read the fields.
    this.#fillAttributes();
  }

  async #run(): Promise<Result<T>> {
    this._state = 'executing';
    this.#ending = this.#invalid() ?? (await this.#work());
    const { status } = this.#ending;
    this._state = status === 'success' ? 'complete' : 'interrupted';
    const result = this._createResult();
    if (status === 'success') await this.onSuccess?.(result);
    if (status === 'failed') await this.onFailed?.(result);
    if (status === 'skipped') await this.onSkipped?.(result);
    return result;
  }

  async #work(): Promise<Ending> {
    try {
      await this.work();
      return { status: 'success' };
    } catch (error) {
      const ending = error instanceof Halt ? error.ending : toFailure(error);
      if (ending.status !== 'failed' || !this.rollback) return ending;
      await this.rollback();
      return { ...ending, rolledBack: true };
    }
  }

  #invalid(): Ending | undefined {
    // Again, because middlewares may have set context values.
    this.#fillAttributes();
    const messages: Record<string, string[]> = {};
    for (const [name, attribute] of this.#attributes) {
      const fault = attribute.fault(this.#contextValue(name));
      if (fault) messages[name] = [`${name} ${fault}`];
    }
    if (Object.keys(messages).length === 0) return undefined;
    return { status: 'failed', reason: 'Invalid', metadata: { errors: { messages } } };
  }

  #fillAttributes(): void {
    for (const [name] of this.#attributes) Reflect.set(this, name, this.#contextValue(name));
  }

  #contextValue(name: string): unknown {
    return this.#context.get(name as keyof T & string);
  }
}

function toFailure(error: unknown): Ending {
  const reason = error instanceof Error ? `[${error.name}] ${error.message}` : String(error);
  return { status: 'failed', reason, cause: error };
}
