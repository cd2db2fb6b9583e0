import type { Codec } from '../codec/index.js';
import type { ContextLike, SavedResult } from './contract.js';

/** A context before the task ran: each member in its encoded form, or itself where it can't be encoded. */
export type ContextSnapshot = ReadonlyMap<string, unknown>;

export function takeSnapshot(context: ContextLike, codec: Codec): ContextSnapshot {
  const snapshot = new Map<string, unknown>();
  for (const [name, value] of Object.entries(context.toObject()))
    snapshot.set(name, comparable(value, codec));
  return snapshot;
}

/**
 * What the task changed, nested changes included. Only that is recorded: a context is shared by the tasks of a
 * workflow, and holds their inputs, which are nobody's business in a store.
 */
export function changesSince(
  before: ContextSnapshot,
  context: ContextLike,
  codec: Codec,
): Pick<SavedResult, 'context' | 'removed'> {
  const now = context.toObject();
  const changed = Object.entries(now).filter(
    ([name, value]) => before.get(name) !== comparable(value, codec),
  );
  const removed = [...before.keys()].filter((name) => !Object.hasOwn(now, name));
  return {
    ...(changed.length > 0 && { context: Object.fromEntries(changed) }),
    ...(removed.length > 0 && { removed }),
  };
}

/** Writes recorded changes to a duplicate's context. */
export function applyChanges(saved: SavedResult, context: ContextLike): void {
  for (const [name, value] of Object.entries(saved.context ?? {})) context.set(name, value);
  for (const name of saved.removed ?? []) context.delete(name);
}

/** A recipe's record holds the whole old context, inputs included: it sets only what is lacking. */
export function fillGaps(saved: SavedResult, context: ContextLike): void {
  for (const [name, value] of Object.entries(saved.context ?? {})) {
    if (!context.has(name)) context.set(name, value);
  }
}

function comparable(value: unknown, codec: Codec): unknown {
  try {
    return codec.encode(value);
  } catch {
    return value;
  }
}
