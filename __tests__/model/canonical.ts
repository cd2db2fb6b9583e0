import type { Grant } from '../../src/core/record.js';
import type { Kept } from '../../src/stores/shared/kept.js';
import type { Call, CallerState, Command, State } from './state.js';

/**
 * One text for all states that differ only in what nothing depends on: times of the past, and fences but for their order.
 */
export function canonical(state: State): string {
  const fences: number[] = [];
  const fence = (value: number | undefined): string => {
    if (value === undefined) return '-';
    fences.push(value);
    return `#${value};`;
  };
  const { past, budget } = state;
  const text = [
    state.now,
    kept(state.record, fence),
    ...state.callers.map((each) => caller(each, fence)),
    'G',
    ...state.ghosts.map((each) => command(each, fence)).sort(),
    'B',
    ...state.chores.map((each) => command(each, fence)).sort(),
    Object.values<number>({ ...budget }).join(),
    String(past.agreed),
    fence(past.highestFence),
    past.effects,
    String(past.recorded),
    String(past.withdrawn),
    fence(past.forgottenFence),
    past.excused,
  ].join('|');
  const ranks = new Map([...new Set(fences)].sort((a, b) => a - b).map((value, rank) => [value, rank]));
  return text.replace(/#(\d+);/g, (_, value: string) => `#${ranks.get(Number(value))}`);
}

type Fence = (value: number | undefined) => string;

function kept(record: Kept | undefined, fence: Fence): string {
  if (!record) return '-';
  const { status, final, token, previousToken, previousEnd, attempt, leaseEndsAtMs, payload, onAbandoned } =
    record;
  const own = [
    status,
    final,
    token,
    previousToken,
    previousEnd,
    attempt,
    leaseEndsAtMs,
    payload,
    onAbandoned,
  ];
  return `(${own.join()},${fence(record.fence)},${kept(record.prior, fence)})`;
}

function caller(each: CallerState, fence: Fence): string {
  const { phase, attempts, replacing, reconciles, awaited, lease, grantedAt, effect, call, answer } = each;
  // Whoever is done or dead matters no more, but for what it was told.
  if (phase === 'done' || phase === 'crashed') return `${phase}${JSON.stringify(answer)}`;
  const own = [phase, attempts, replacing, reconciles, grantedAt, effect, awaited?.token];
  return `(${own.join()},${fence(awaited?.fence)},${grant(lease, fence)},${sent(call, fence)})`;
}

function sent(call: Call | undefined, fence: Fence): string {
  if (!call) return '-';
  return `${command(call.command, fence)}@${call.sentAt}${call.isExecuted ? answered(call.answer, fence) : '?'}`;
}

function answered(answer: unknown, fence: Fence): string {
  if (typeof answer !== 'object' || answer === null) return String(answer);
  const claimed = answer as { kind: string; grant?: Grant; record?: Kept };
  return `${claimed.kind}${grant(claimed.grant, fence)}${kept(claimed.record, fence)}`;
}

function command(each: Command, fence: Fence): string {
  switch (each.kind) {
    case 'claim':
      return `claim ${each.request.token} ${each.request.replacing}`;
    case 'release':
      return `release ${each.token}`;
    case 'renew':
      return `renew ${grant(each.lease, fence)}`;
    case 'settle':
      return `settle ${grant(each.lease, fence)} ${each.settlement.status} ${each.settlement.payload}`;
  }
}

function grant(lease: Grant | undefined, fence: Fence): string {
  if (!lease) return '-';
  const { token, attempt, previousToken, previousEnd, leaseEndsAtMs } = lease;
  return `[${[token, attempt, previousToken, previousEnd, leaseEndsAtMs].join()},${fence(lease.fence)}]`;
}
