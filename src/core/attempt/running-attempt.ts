import type { EngineParts, Operation } from '../operation.js';
import type { Attempt } from './attempt.js';
import type { HeldLease } from './held-lease.js';
import { Steps } from './steps.js';

/** The attempt that runs here. */
export class RunningAttempt implements Attempt {
  // Made when first asked for, and functions of their own: work may take them apart, as in `({ step, deriveKey }) => ...`.
  #deriveKey: Attempt['deriveKey'] | undefined;
  #step: Attempt['step'] | undefined;
  #steps: Steps | undefined;

  constructor(
    private readonly parts: EngineParts,
    private readonly op: Operation<unknown>,
    private readonly held: HeldLease,
  ) {}

  get key(): string {
    return this.op.label.key;
  }

  get fence(): number | undefined {
    const { fence } = this.held.lease;
    return fence === 0 ? undefined : fence;
  }

  get attempt(): number {
    return this.held.lease.attempt;
  }

  get signal(): AbortSignal {
    return this.held.signal;
  }

  get deriveKey(): Attempt['deriveKey'] {
    const { parts, op, held } = this;
    return (this.#deriveKey ??= (name) => parts.deriveKey(op.key, held.lease.failures, name));
  }

  get step(): Attempt['step'] {
    return (this.#step ??= (name, work) =>
      (this.#steps ??= new Steps(this.parts, this.op, this.held)).run(name, work));
  }

  /** The owner token: what a store knows the attempt by. */
  get token(): string {
    return this.held.lease.token;
  }

  get hasRunSteps(): boolean {
    return this.#steps?.hasRun ?? false;
  }

  /** Records the steps that the store did not take when they ended. */
  async flushSteps(): Promise<void> {
    await this.#steps?.flush();
  }
}
