import type { Codec } from '../codec/index.js';
import type { ContextLike, SavedResult } from './contract.js';

/** A context before the task ran: each member encoded, or the member itself if it can't be encoded. */
export type ContextSnapshot = ReadonlyMap<string, unknown>;

export function takeSnapshot(context: ContextLike, codec: Codec): ContextSnapshot {
  const snapshot = new Map<string, unknown>();
  for (const [name, value] of Object.entries(context.toObject()))
    snapshot.set(name, comparable(value, codec));
  return snapshot;
}

/**
 * What the task changed in the context, nested changes included. Only the changes are recorded: the context also holds the
 * inputs of all tasks of the workflow, which do not belong in the store.
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

/** Applies recorded changes to the context of a duplicate. */
export function applyChanges(saved: SavedResult, context: ContextLike): void {
  for (const [name, value] of Object.entries(saved.context ?? {})) context.set(name, value);
  for (const name of saved.removed ?? []) context.delete(name);
}

/** For a record of the plain recipe, which holds the whole old context with its inputs: sets only members that are missing. */
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
