import { callStore } from '../call-store.js';
import { OutcomeError, UsageError } from '../errors.js';
import { operationTitle, type EngineParts, type Operation } from '../operation.js';
import type { RecordedStep } from '../record.js';
import { encodeWithin } from './encode-within.js';
import type { HeldLease } from './held-lease.js';

const MAX_NAME_LENGTH = 256;

/** The recovery points of one attempt: what ran to its end is not run again by a later attempt of the key. */
export class Steps {
  /** Names that run, or have ended well, in this attempt. */
  readonly #names = new Set<string>();
  /** Done, but the store does not know it yet. */
  readonly #unsaved = new Set<RecordedStep>();
  #hasRun = false;

  constructor(
    private readonly parts: EngineParts,
    private readonly op: Operation<unknown>,
    private readonly held: HeldLease,
  ) {}

  /** Whether a step ran here, so that the attempt can't be undone as if nothing had happened. */
  get hasRun(): boolean {
    return this.#hasRun;
  }

  async run<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    this.held.assertHolds();
    this.#take(name);
    const known = this.held.lease.steps.find((step) => step.name === name);
    if (known) return this.#replay(known) as T;
    let value: T;
    try {
      value = await work();
    } catch (error) {
      // Nothing was recorded: the same attempt may try this step again.
      this.#names.delete(name);
      throw error;
    }
    this.#hasRun = true;
    // Work that runs unprotected has no lease to record its steps under.
    if (this.held.isProtected) await this.#record({ name, payload: this.#encode(name, value) });
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
    const message = `${operationTitle(this.op)}: step "${name}" was done by an earlier attempt and ${why}; it is not run again`;
    throw new OutcomeError('RESULT_UNAVAILABLE', message);
  }

  async #record(step: RecordedStep): Promise<void> {
    this.#unsaved.add(step);
    if (await this.#save(step)) await this.flush();
    this.held.assertHolds();
  }

  /** A store that is down is no reason to fail work whose effect has happened: it is told later (G7). */
  async #save(step: RecordedStep): Promise<boolean> {
    const { key, policy } = this.op;
    const command = () => this.parts.store.step(key, this.held.lease, step);
    try {
      const accepted = await callStore('record a step', command, policy.storeTimeoutMs);
      this.#unsaved.delete(step);
      if (accepted) this.held.addStep(step);
      else this.held.refused();
      return accepted;
    } catch (error) {
      this.held.emit('store-error', { error });
      return false;
    }
  }

  #encode(name: string, value: unknown): string | undefined {
    const { label, policy } = this.op;
    const of = { ...label, step: name };
    const encoded = encodeWithin(this.parts.encode, { kind: 'completed', value }, policy.maxResultBytes, of);
    if ('text' in encoded) return encoded.text;
    this.held.emit('no-value', { path: `step "${name}": ${encoded.path}`, error: encoded.error });
    return undefined;
  }

  #misused(why: string): UsageError {
    return new UsageError('INVALID_OPTIONS', `${operationTitle(this.op)}: ${why}`);
  }
}
