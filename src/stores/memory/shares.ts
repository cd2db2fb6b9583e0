type Kind = 'settled' | 'mark' | 'held';

/** What a scope holds. Sets keep their order, so that moving an address to the end is all that "least recently used" takes. */
interface Share {
  readonly scope: string | undefined;
  size: number;
  /** Records that may go, the least recently used one first. */
  readonly settled: Set<string>;
  /** Marks of claims that were released: they hold nothing, and go before any record does. */
  readonly marks: Set<string>;
}

/** A record that is to give way. */
export interface Next {
  readonly address: string;
  readonly isMark: boolean;
}

/** Who holds how much of the memory store, and what gives way first. Each step takes the same time however much there is. */
export class Shares {
  readonly #ofScope = new Map<string | undefined, Share>();
  readonly #ofAddress = new Map<string, Share>();
  readonly #marks = new Set<string>();
  /** Shares by how many records they hold that may go; among equals, the least recently used one first. */
  readonly #bySettled = new Map<number, Set<Share>>();
  #most = 0;

  sizeOf(scope: string | undefined): number {
    return this.#ofScope.get(scope)?.size ?? 0;
  }

  put(address: string, scope: string | undefined, kind: Kind): void {
    let share = this.#ofScope.get(scope);
    if (!share) {
      share = { scope, size: 0, settled: new Set(), marks: new Set() };
      this.#ofScope.set(scope, share);
    }
    const holder = this.#ofAddress.get(address);
    // Two identities whose addresses read the same.
    if (holder && holder !== share) this.drop(address);
    if (holder !== share) share.size++;
    this.#ofAddress.set(address, share);
    this.#change(share, () => {
      share.settled.delete(address);
      if (kind === 'settled') share.settled.add(address);
    });
    this.#mark(share, address, kind === 'mark');
  }

  touch(address: string): void {
    const share = this.#ofAddress.get(address);
    if (!share?.settled.has(address)) return;
    this.#change(share, () => {
      share.settled.delete(address);
      share.settled.add(address);
    });
  }

  drop(address: string): void {
    const share = this.#ofAddress.get(address);
    if (!share) return;
    this.#ofAddress.delete(address);
    this.#mark(share, address, false);
    this.#change(share, () => share.settled.delete(address));
    if (--share.size > 0) return;
    this.#ofScope.delete(share.scope);
  }

  /** What gives way first in a scope. */
  nextOf(scope: string | undefined, evict: boolean): Next | undefined {
    const share = this.#ofScope.get(scope);
    return share && next(share.marks, evict ? share.settled : NONE);
  }

  /** What gives way first of all: a record of the scope that holds the most. */
  next(evict: boolean): Next | undefined {
    const [largest] = this.#bySettled.get(this.#most) ?? [];
    return next(this.#marks, evict && largest ? largest.settled : NONE);
  }

  clear(): void {
    for (const table of [this.#ofScope, this.#ofAddress, this.#marks, this.#bySettled]) table.clear();
    this.#most = 0;
  }

  #mark(share: Share, address: string, isMark: boolean): void {
    for (const marks of [share.marks, this.#marks]) {
      if (isMark) marks.add(address);
      else marks.delete(address);
    }
  }

  /** Puts the share where it belongs after the change, behind its equals. */
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
    // A change is by one at the most.
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
