import type { Lease, Notes, RecordedStep, StoreKey } from '../../../src/core/record.js';
import type { ClaimRequest, Replacement, Settlement } from '../../../src/core/store.js';
import type { Kept } from '../../../src/stores/shared/kept.js';
import { TableStore, type Mistake } from '../table-store.js';

/** Stores of which each changes the texts that it keeps. */
abstract class ChangesPayloads extends TableStore {
  protected abstract change(payload: string): string | undefined;
  protected override written(kept: Kept): Kept {
    return kept.payload === undefined ? kept : { ...kept, payload: this.change(kept.payload) };
  }
}
class StoresLatin1 extends ChangesPayloads {
  protected change(payload: string) {
    return Buffer.from(payload, 'latin1').toString('latin1');
  }
}
class DropsNullBytes extends ChangesPayloads {
  protected change(payload: string) {
    return payload.replaceAll('\0', '');
  }
}
class ParsesJson extends ChangesPayloads {
  protected change(payload: string) {
    return written(payload, (value) => value);
  }
}
class SortsJson extends ChangesPayloads {
  protected change(payload: string) {
    return payload.startsWith('{') ? written(payload, sorted) : payload;
  }
}
class DropsSpaces extends ChangesPayloads {
  protected change(payload: string) {
    return payload.trim();
  }
}
class NormalizesUnicode extends ChangesPayloads {
  protected change(payload: string) {
    return payload.normalize('NFC');
  }
}
class KeepsEmptyAsNone extends ChangesPayloads {
  protected change(payload: string) {
    return payload || undefined;
  }
}
class ReadsNumbers extends ChangesPayloads {
  protected change(payload: string) {
    return /^\d/.test(payload) ? String(Number(payload)) : payload;
  }
}
class CutsAt64Kilobytes extends ChangesPayloads {
  protected change(payload: string) {
    return payload.slice(0, 65_535);
  }
}
class ParsesCorrections extends TableStore {
  override override(key: StoreKey, replacement: Replacement) {
    if (replacement.kind === 'forget' || !replacement.payload) return super.override(key, replacement);
    return super.override(key, { ...replacement, payload: written(replacement.payload, (value) => value) });
  }
}
class ParsesSteps extends TableStore {
  override step(key: StoreKey, lease: Lease, { name, payload = '' }: RecordedStep) {
    return super.step(key, lease, { name, payload: written(payload, (value) => value) });
  }
}
class ParsesFacts extends TableStore {
  protected override written(kept: Kept) {
    const { facts, ...notes }: Notes = kept.notes ?? {};
    return facts ? { ...kept, notes: { ...notes, facts: written(facts, (value) => value) } } : kept;
  }
}
class CutsFacts extends TableStore {
  protected override written(kept: Kept) {
    return kept.notes ? { ...kept, notes: { ...kept.notes, facts: kept.notes.facts?.slice(0, 255) } } : kept;
  }
}
class KeepsTheHolder extends TableStore {
  protected override written(kept: Kept, before: Kept | undefined) {
    const isSame = kept.token === before?.token;
    return isSame ? { ...kept, notes: before.notes } : kept;
  }
}
class KeepsAValueOfTheUnknown extends TableStore {
  override async settle(key: StoreKey, lease: Lease, settlement: Settlement) {
    const isSettled = await super.settle(key, lease, settlement);
    const found = this.find(key);
    if (found) this.table.records.set(key.address, { ...found, payload: settlement.payload });
    return isSettled;
  }
}

/** Stores of which each finds one record at two addresses. */
abstract class ChangesAddresses extends TableStore {
  protected abstract change(address: string): string;
  override claim(key: StoreKey, request: ClaimRequest) {
    return super.claim({ ...key, address: this.change(key.address) }, request);
  }
  override read(key: StoreKey) {
    return super.read({ ...key, address: this.change(key.address) });
  }
}
class FoldsCase extends ChangesAddresses {
  protected change(address: string) {
    return address.toLowerCase();
  }
}
class DropsSpacesOfKeys extends ChangesAddresses {
  protected change(address: string) {
    return address.trimEnd();
  }
}
class CutsKeysAt255 extends ChangesAddresses {
  protected change(address: string) {
    return address.slice(0, 255);
  }
}
class SharesDigests extends TableStore {
  override claim(key: StoreKey, request: ClaimRequest) {
    return super.claim({ ...key, digest: 'shared' }, request);
  }
}
class ReadsOthersAsAbsent extends TableStore {
  override async read(key: StoreKey) {
    return this.table.records.get(key.address)?.digest === key.digest ? super.read(key) : undefined;
  }
}

/** A text that is JSON, read and written again. */
function written(text: string, change: (value: unknown) => unknown): string {
  try {
    return JSON.stringify(change(JSON.parse(text)));
  } catch {
    return text;
  }
}

const sorted = (value: unknown): unknown =>
  Object.fromEntries(Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1)));

export const VALUES: readonly Mistake[] = [
  [StoresLatin1, /given back as it was: empty/, /one megabyte/],
  [DropsNullBytes, /given back as it was: empty/, /one megabyte/],
  [ParsesJson, /a value that is JSON/],
  [SortsJson, /a value that is JSON/],
  [ReadsNumbers, /a value that is JSON/],
  [DropsSpaces, /given back as it was: empty/, /a value that is JSON/],
  [NormalizesUnicode, /given back as it was: empty/],
  [KeepsEmptyAsNone, /given back as it was: empty/],
  [CutsAt64Kilobytes, /one megabyte/],
  [ParsesCorrections, /a value that is JSON/],
  [ParsesSteps, /values of steps that are JSON/],
  [ParsesFacts, /notes that are JSON/],
  [CutsFacts, /notes that are JSON/],
  [KeepsTheHolder, /notes: what was asked/],
  [KeepsAValueOfTheUnknown, /an unknown outcome has no value/],
  [FoldsCase, /byte for byte/],
  [DropsSpacesOfKeys, /byte for byte/],
  [CutsKeysAt255, /byte for byte/],
  [SharesDigests, /two identities/],
  [ReadsOthersAsAbsent, /two identities/],
];
