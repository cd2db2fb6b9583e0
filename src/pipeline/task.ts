import { Attribute } from './attributes.js';
import { Context, type ContextOf } from './context.js';
import { runThrough, type Definition, type Middleware } from './middleware.js';
import { Result, TaskFailedError, type ResultState, type ResultStatus } from './result.js';

/** `(task, options, next) => Promise<Result>`. */
export type MiddlewareFunction = Middleware<Task, Result>;
/** What stands in `static middlewares`; the first is the outermost. */
export type MiddlewareDefinition = Definition<Task, Result>;

interface TaskClass<T extends object> {
  // Only as much as is needed: from the whole class, T cannot be inferred.
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

/** How `skip` and `fail` leave `work()`. */
class Halt extends Error {
  constructor(readonly ending: Ending) {
    super(`${ending.status}: ${ending.reason ?? ''}`);
  }
}

const chains = new WeakMap<Context<never>, Task[]>();

/**
 * One operation: a class with `work()`, whose inputs are attributes of a shared context and whose end is a
 * {@link Result}. A minimal pipeline of cero-ts' shape, so that examples and tests run and a reader without a
 * framework can start. It is not a product: no retries, no workflows, no callbacks beyond those below.
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

  /** @internal Nothing but a type, from which `execute()` tells the context's shape. */
  declare readonly _shape: T;

  #context = Context.from<T>();
  #chain: Task[] = [];
  #attributes: [string, Attribute][] = [];
  #ending: Ending = { status: 'success' };
  /** @internal */
  _index = 0;
  /** @internal How far it got; middlewares read it when `next()` rejects. */
  _state: ResultState = 'initialized';

  /**
   * Runs the task on `input`: the values of a new context, or the context of another task, which is then shared.
   * Resolves with a failed result where the work fails; rejects when a middleware or a callback throws.
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
   * Like `execute()`, for callers who do not look at the result.
   * @throws TaskFailedError when the result is failed
   */
  static async executeStrict<T extends object>(
    this: TaskClass<T>,
    input: Partial<NoInfer<T>> | Context<NoInfer<T>> = {},
  ): Promise<Result<T>> {
    const result = await Task.execute.call(this, input);
    if (result.failed) throw new TaskFailedError(result as Result<never>);
    return result;
  }

  /** The operation itself. What it returns is dropped: outcomes go into the context. */
  abstract work(): unknown;

  /** Undoes the work, after it failed. What it throws, `execute()` rejects with, in the state `executing`. */
  rollback?(): unknown;

  /** Called after a success; what it throws, `execute()` rejects with. */
  onSuccess?(result: Result<T>): unknown;

  /** Called after a failure; what it throws, `execute()` rejects with. */
  onFailed?(result: Result<T>): unknown;

  /** Called after the work was skipped; what it throws, `execute()` rejects with. */
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

  /** Ends the work as failed, by the task's own judgement: the result has no cause. */
  protected fail(reason: string, metadata: Record<string, unknown> = {}): never {
    throw new Halt({ status: 'failed', reason, metadata });
  }

  /** @internal The result as of now. */
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
    // Before the middlewares, so that a key function may read the fields.
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
    // A middleware may have set some.
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
