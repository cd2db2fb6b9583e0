/** The types that an attribute can be checked for, with `typeof`. */
export interface AttributeTypes {
  string: string;
  number: number;
  boolean: boolean;
  bigint: bigint;
  object: object;
}
export type AttributeType = keyof AttributeTypes;

/** The initial value of a task's field. It is replaced by the context's value. */
export class Attribute {
  constructor(
    private readonly needed: boolean,
    private readonly type: AttributeType | undefined,
  ) {}

  /** What is wrong with `value`, or undefined. */
  fault(value: unknown): string | undefined {
    if (value === undefined || value === null) return this.needed ? 'is required' : undefined;
    return this.type === undefined || typeof value === this.type ? undefined : `must be a ${this.type}`;
  }
}

/**
 * Declares a field of a task whose value the context must have when the work starts. The type is checked with
 * `orderId = required('string')`, and not checked with `order = required<Order>()`.
 */
export function required<N extends AttributeType>(type: N): AttributeTypes[N];
export function required<T>(): T;
export function required(type?: AttributeType): unknown {
  return new Attribute(true, type);
}

/** Declares a field of a task whose value the context may have: `coupon = optional('string')`. */
export function optional<N extends AttributeType>(type: N): AttributeTypes[N] | undefined;
export function optional<T>(): T | undefined;
export function optional(type?: AttributeType): unknown {
  return new Attribute(false, type);
}
