type Kind = 'settled' | 'mark' | 'held';

/** What a scope holds. Sets keep their insertion order, so moving an address to the end implements "least recently used". */
interface Share {
  readonly scope: string | undefined;
  size: number;
  /** Records that may be evicted, the least recently used one first. */
  readonly settled: Set<string>;
  /** Marks of released claims. They hold no result, so they are removed before any record. */
  readonly marks: Set<string>;
}

/** The record to evict next. */
export interface Next {
  readonly address: string;
  readonly isMark: boolean;
}

/** How many records each scope holds, and which one to evict next. Each operation takes constant time. */
export class Shares {
  readonly #byScope = new Map<string | undefined, Share>();
  readonly #byAddress = new Map<string, Share>();
  readonly #marks = new Set<string>();
  /** Shares by their number of records that may be evicted; among equals, the least recently changed one first. */
  readonly #bySettled = new Map<number, Set<Share>>();
  #most = 0;

  scopeSize(scope: string | undefined): number {
    return this.#byScope.get(scope)?.size ?? 0;
  }

  put(address: string, scope: string | undefined, kind: Kind): void {
    let share = this.#byScope.get(scope);
    if (!share) {
      share = { scope, size: 0, settled: new Set(), marks: new Set() };
      this.#byScope.set(scope, share);
    }
    const holder = this.#byAddress.get(address);
    // Two identities can have the same address.
    if (holder && holder !== share) this.drop(address);
    if (holder !== share) share.size++;
    this.#byAddress.set(address, share);
    this.#change(share, () => {
      share.settled.delete(address);
      if (kind === 'settled') share.settled.add(address);
    });
    this.#mark(share, address, kind === 'mark');
  }

  touch(address: string): void {
    const share = this.#byAddress.get(address);
    if (!share?.settled.has(address)) return;
    this.#change(share, () => {
      share.settled.delete(address);
      share.settled.add(address);
    });
  }

  drop(address: string): void {
    const share = this.#byAddress.get(address);
    if (!share) return;
    this.#byAddress.delete(address);
    this.#mark(share, address, false);
    this.#change(share, () => share.settled.delete(address));
    if (--share.size > 0) return;
    this.#byScope.delete(share.scope);
  }

  /** What to evict next in a scope. */
  nextInScope(scope: string | undefined, evict: boolean): Next | undefined {
    const share = this.#byScope.get(scope);
    return share && next(share.marks, evict ? share.settled : NONE);
  }

  /** What to evict next in the whole store: a record of the scope that holds the most. */
  next(evict: boolean): Next | undefined {
    const [largest] = this.#bySettled.get(this.#most) ?? [];
    return next(this.#marks, evict && largest ? largest.settled : NONE);
  }

  clear(): void {
    for (const table of [this.#byScope, this.#byAddress, this.#marks, this.#bySettled]) table.clear();
    this.#most = 0;
  }

  #mark(share: Share, address: string, isMark: boolean): void {
    for (const marks of [share.marks, this.#marks]) {
      if (isMark) marks.add(address);
      else marks.delete(address);
    }
  }

  /** Changes a share and moves it to its new place in `#bySettled`, after its equals. */
  #change(share: Share, change: () => void): void {
    const equals = this.#bySettled.get(share.settled.size);
    if (equals?.delete(share) && equals.size === 0) this.#bySettled.delete(share.settled.size);
    change();
    const count = share.settled.size;
    if (count > 0) {
      const peers = this.#bySettled.get(count);
      if (peers) peers.add(share);
      else this.#bySettled.set(count, new Set([share]));
    }
    // The number changes by one at most.
    if (count > this.#most) this.#most = count;
    else if (!this.#bySettled.has(this.#most)) this.#most = Math.max(0, this.#most - 1);
  }
}

const NONE: ReadonlySet<string> = new Set();

function next(marks: ReadonlySet<string>, settled: ReadonlySet<string>): Next | undefined {
  for (const address of marks) return { address, isMark: true };
  for (const address of settled) return { address, isMark: false };
  return undefined;
}
