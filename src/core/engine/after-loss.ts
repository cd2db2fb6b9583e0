import type { Ending, Execution } from '../attempt/execution.js';
import { OutcomeError } from '../errors.js';
import { operationTitle } from '../operation.js';
import type { Answer } from '../outcome.js';
import type { StoredRecord } from '../record.js';
import type { Caller } from './caller.js';
import type { Waiter } from './waiter.js';

/** Makes a watch of the record that ends when `until` is true. */
export type MakeWatch = (
  until: (record: StoredRecord | undefined) => boolean,
  onEnd: (record: StoredRecord | undefined) => void,
) => Waiter;

/**
 * What a caller gets whose attempt lost the lease (G6). It stops waiting for its work and follows the record under
 * waitTimeout, whatever onDuplicate says: the success or the failure that was recorded; its own result, if that was
 * recorded after all; or else LEASE_LOST, with its own result attached.
 */
export async function afterLoss<T>(
  caller: Caller<T>,
  execution: Execution<T>,
  makeWatch: MakeWatch,
): Promise<Answer<T>> {
  let own: Ending<T> | undefined;
  let watch: Waiter | undefined;
  const found = new Promise<Answer<T> | undefined>((resolve) => {
    watch = makeWatch(
      // An absent record is waited for only while our own work may still write it.
      (record) => (record ? record.status !== 'IN_PROGRESS' : own !== undefined),
      (record) => resolve(record && { kind: 'duplicate', how: 'replay', record, lost: true }),
    );
    watch.start(undefined);
    void execution.ended.wait().then((end) => {
      own = end;
      // A newer attempt or a person holds the record: only what stands there counts now.
      if (end.fate === 'superseded') watch?.wake();
      else resolve(end.outcome.kind === 'completed' ? execution.answer(end) : undefined);
    });
  });
  const answer = await caller.within(found);
  watch?.stop();
  if (typeof answer === 'object') return answer;
  return { kind: 'refused', error: leaseLost(caller, execution, own), lost: true };
}

function leaseLost<T>(caller: Caller<T>, execution: Execution<T>, own: Ending<T> | undefined): OutcomeError {
  const message =
    `${operationTitle(caller.op)} lost its lease while it ran, and no outcome was recorded in time; ` +
    'whether its own work counts is not known: look before you run it again';
  if (own?.outcome.kind === 'completed')
    return new OutcomeError('LEASE_LOST', message, { result: own.outcome.value });
  return new OutcomeError('LEASE_LOST', message, { cause: own?.outcome.error ?? execution.held.lost });
}
