import type { Kept } from '../shared/kept.js';

/** A record as it was last written here, and how its outside looked. */
export interface Written {
  readonly kept: Kept;
  readonly expiresAt: number;
}

const SWEEP_MS = 60_000;
const settled = (): void => undefined;

/**
 * What the wrappers of one object in this process share: the turns that they take at a key, and what they know of the records
 * that they wrote, where the object does not give back our members.
 */
export class Shared {
  /** Whether `get` gives back the members that stand in no type; undefined until it was seen. */
  keepsLease: boolean | undefined;
  readonly #turns = new Map<string, Promise<void>>();
  readonly #written = new Map<string, readonly Written[]>();
  #sweepAtMs = 0;

  /** Runs tasks of one address one after another. */
  exclusively<T>(address: string, task: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(address) ?? Promise.resolve()).then(task);
    const end = turn.then(settled, settled).then(() => {
      if (this.#turns.get(address) === end) this.#turns.delete(address);
    });
    this.#turns.set(address, end);
    return turn;
  }

  /** What may stand at the address by what was written here, the newest first. */
  writtenAt(address: string): readonly Written[] {
    return this.#written.get(address) ?? [];
  }

  /** Called before a write, which may be lost; the one before it is remembered too. */
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

// One per process, also where the ESM and the CommonJS build are both loaded.
const SHARED = Symbol.for('twiceshy.keyvalue.1');

function ofProcess() {
  const holder = globalThis as {
    [SHARED]?: { readonly objects: WeakMap<object, Shared>; readonly warned: WeakSet<object> };
  };
  return (holder[SHARED] ??= { objects: new WeakMap(), warned: new WeakSet() });
}

export function sharedOf(object: object): Shared {
  const { objects } = ofProcess();
  let shared = objects.get(object);
  if (!shared) objects.set(object, (shared = new Shared()));
  return shared;
}

/** Whether it is the first time that this is asked for an object of that class. */
export function isFirstOfClass(object: object): boolean {
  const { warned } = ofProcess();
  const kind = object.constructor ?? Object;
  const isFirst = !warned.has(kind);
  warned.add(kind);
  return isFirst;
}
