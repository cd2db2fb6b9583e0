import type { AttemptSteps, RunningAttempt } from './attempt.js';
import { callStore } from './calls.js';
import { OutcomeError, UsageError } from './errors.js';
import type { EventDetail, EventName } from './events.js';
import type { EngineParts, Operation } from './operation.js';
import type { RecordedStep } from './record.js';
import { encodeWithin } from './value.js';

/** What steps ask of the execution that they belong to. */
export interface StepHolder {
  /** Work that runs unprotected has no lease to record its steps under. */
  readonly isProtected: boolean;
  /** @throws OutcomeError LEASE_LOST when the lease can't be relied on any more */
  assertHolds(): void;
  /** The store says that the record is another's. */
  refused(): void;
  emit(event: EventName, more?: Partial<EventDetail>): void;
}

const MAX_NAME_LENGTH = 256;

/** The recovery points of one attempt: what ran to its end is not run again by a later attempt of the key. */
export class Steps implements AttemptSteps {
  /** Names that run, or have ended well, in this attempt. */
  readonly #names = new Set<string>();
  /** Done, but the store does not know it yet. */
  readonly #unsaved = new Set<RecordedStep>();
  /** Whether a step ran here, so that the attempt can't be undone as if nothing had happened. */
  hasRun = false;

  constructor(
    private readonly parts: EngineParts,
    private readonly op: Operation<unknown>,
    private readonly attempt: RunningAttempt,
    private readonly holder: StepHolder,
  ) {}

  async run<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    this.holder.assertHolds();
    this.#take(name);
    const known = this.attempt.lease.steps.find((step) => step.name === name);
    if (known) return this.#replay(known) as T;
    let value: T;
    try {
      value = await work();
    } catch (error) {
      // Nothing was recorded: the same attempt may try this step again.
      this.#names.delete(name);
      throw error;
    }
    this.hasRun = true;
    if (this.holder.isProtected) await this.#record({ name, payload: this.#encode(name, value) });
    return value;
  }

  /** Records what the store did not take before, best effort: another attempt may follow this one. */
  async flush(): Promise<void> {
    for (const step of this.#unsaved) await this.#save(step);
  }

  #take(name: string): void {
    if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_LENGTH)
      throw this.#misused(`the name of a step is a string of 1 to ${MAX_NAME_LENGTH} characters`);
    if (this.#names.has(name))
      throw this.#misused(`this attempt has a step "${name}" already; give every step a name of its own`);
    this.#names.add(name);
  }

  #replay({ name, payload }: RecordedStep): unknown {
    if (payload !== undefined) return this.parts.decode(payload);
    const why = 'recorded without its result, which was too large or could not be encoded';
    const message = `${this.#title}: step "${name}" was done by an earlier attempt and ${why}; it is not run again`;
    throw new OutcomeError('RESULT_UNAVAILABLE', message);
  }

  async #record(step: RecordedStep): Promise<void> {
    this.#unsaved.add(step);
    if (await this.#save(step)) await this.flush();
    this.holder.assertHolds();
  }

  /** A store that is down is no reason to fail work whose effect has happened: it is told later (G7). */
  async #save(step: RecordedStep): Promise<boolean> {
    const { key, policy } = this.op;
    const command = () => this.parts.store.step(key, this.attempt.lease, step);
    try {
      const accepted = await callStore('record a step', command, policy.storeTimeoutMs);
      this.#unsaved.delete(step);
      if (accepted) this.attempt.lease = withStep(this.attempt.lease, step);
      else this.holder.refused();
      return accepted;
    } catch (error) {
      this.holder.emit('store-error', { error });
      return false;
    }
  }

  #encode(name: string, value: unknown): string | undefined {
    const encoded = encodeWithin(
      this.parts.encode,
      { kind: 'completed', value },
      this.op.policy.maxResultBytes,
      { ...this.op.label, step: name },
    );
    if ('text' in encoded) return encoded.text;
    this.holder.emit('no-value', { path: `step "${name}": ${encoded.path}`, error: encoded.error });
    return undefined;
  }

  #misused(why: string): UsageError {
    return new UsageError('INVALID_OPTIONS', `${this.#title}: ${why}`);
  }

  get #title(): string {
    return `${this.op.label.name} "${this.op.label.key}"`;
  }
}

const withStep = <L extends RunningAttempt['lease']>(lease: L, step: RecordedStep): L => ({
  ...lease,
  steps: [...lease.steps, step],
});
