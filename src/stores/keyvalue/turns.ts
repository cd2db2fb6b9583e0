import type { Kept } from '../shared/kept.js';

/** A record that this process wrote, and the `expiresAt` that it was written with. */
export interface Written {
  readonly kept: Kept;
  readonly expiresAt: number;
}

const SWEEP_MS = 60_000;
const settled = (): void => undefined;

/**
 * State that all wrappers of one object in this process share: the queue of calls for each key, and the records that were written,
 * in case the object does not return our members.
 */
export class Shared {
  /** Whether `get` also returns members that the object does not know; undefined until that was tested. */
  keepsLease: boolean | undefined;
  readonly #turns = new Map<string, Promise<void>>();
  readonly #written = new Map<string, readonly Written[]>();
  #sweepAtMs = 0;

  /** Runs the tasks for one address one after another. */
  exclusively<T>(address: string, task: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(address) ?? Promise.resolve()).then(task);
    const end = turn.then(settled, settled).then(() => {
      if (this.#turns.get(address) === end) this.#turns.delete(address);
    });
    this.#turns.set(address, end);
    return turn;
  }

  /** The records that may be at the address, by what this process wrote; the newest first. */
  writtenAt(address: string): readonly Written[] {
    return this.#written.get(address) ?? [];
  }

  /** Called before a write. The previous record is remembered too, because the write may be lost. */
  writing(address: string, written: Written, nowMs: number): void {
    this.#written.set(address, [written, ...this.writtenAt(address).slice(0, 1)]);
    if (nowMs < this.#sweepAtMs) return;
    this.#sweepAtMs = nowMs + SWEEP_MS;
    for (const [at, [newest]] of this.#written) {
      if (newest && newest.kept.expiresAtMs <= nowMs) this.#written.delete(at);
    }
  }

  forget(address: string): void {
    this.#written.delete(address);
  }

  forgetAll(): void {
    this.#written.clear();
  }
}

// One for the process, even if the ESM and the CommonJS build are both loaded.
const SHARED = Symbol.for('twiceshy.keyvalue.1');

function processState() {
  const holder = globalThis as {
    [SHARED]?: { readonly objects: WeakMap<object, Shared>; readonly warned: WeakSet<object> };
  };
  return (holder[SHARED] ??= { objects: new WeakMap(), warned: new WeakSet() });
}

export function sharedState(object: object): Shared {
  const { objects } = processState();
  let shared = objects.get(object);
  if (!shared) objects.set(object, (shared = new Shared()));
  return shared;
}

/** Whether this is the first call for an object of that class. */
export function isFirstOfClass(object: object): boolean {
  const { warned } = processState();
  const kind = object.constructor ?? Object;
  const isFirst = !warned.has(kind);
  warned.add(kind);
  return isFirst;
}
