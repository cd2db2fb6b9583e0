/** Whether the two are one type. `any` is the same as nothing but itself, so that it can't slip through. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** `typed<Expected>()(value)` compiles where the value's type is exactly the expected one. */
export declare function typed<Expected>(): <Actual>(
  value: Actual,
  ...mismatch: Same<Actual, Expected> extends true ? [] : [expected: Expected]
) => void;
