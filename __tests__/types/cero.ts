/** The shapes of cero-ts that the middleware meets (DESIGN.md, section 6), declared here since it is never installed. */
export interface Context<T extends Record<string, unknown>> {
  get<K extends keyof T>(key: K): T[K] | undefined;
  get(key: string): unknown;
  set<K extends keyof T>(key: K, value: T[K]): this;
  set(key: string, value: unknown): this;
  has(key: string): boolean;
  delete(key: string): boolean;
  keys(): IterableIterator<string>;
  toObject(): T;
  merge(data: Partial<T>): this;
}

export interface Task<T extends Record<string, unknown> = Record<string, unknown>> {
  readonly context: Context<T> & T;
  readonly chain: object;
  work(): void | Promise<void>;
}

export declare class Result<T extends Record<string, unknown> = Record<string, unknown>> {
  constructor(parts: {
    task: Task<T>;
    context: Context<T>;
    chain: object;
    index: number;
    state: 'initialized' | 'executing' | 'complete' | 'interrupted';
    status: 'success' | 'skipped' | 'failed';
    reason?: string;
    cause?: unknown;
    metadata?: Record<string, unknown>;
    retries?: number;
    rolledBack?: boolean;
  });
  readonly context: Context<T>;
  readonly status: 'success' | 'skipped' | 'failed';
  readonly reason: string | undefined;
  readonly cause: unknown;
  readonly metadata: Readonly<Record<string, unknown>>;
}

// Properties, not methods: only so does strictFunctionTypes compare their parameters.
export type MiddlewareFunction<T extends Record<string, unknown> = Record<string, unknown>> = (
  task: Task<T>,
  options: Record<string, unknown>,
  next: () => Promise<Result<T>>,
) => Promise<Result<T>>;

export type MiddlewareObject = { call: MiddlewareFunction };

export type MiddlewareDefinition =
  MiddlewareFunction | MiddlewareObject | [MiddlewareFunction | MiddlewareObject, Record<string, unknown>];
