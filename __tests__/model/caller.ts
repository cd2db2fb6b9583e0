import { decide } from '../../src/core/decision.js';
import { grantedLease, type AbandonedRule, type StoredRecord } from '../../src/core/record.js';
import type { ClaimAnswer, Settlement } from '../../src/core/store.js';
import { FOREVER, LEASE, type Answer, type CallerState, type Command, type State } from './state.js';
import { foundIn, momentOf, type Steps } from './store.js';

/** What a caller makes of the world: its own new state, and what it leaves to the background. */
export interface Reaction {
  readonly caller: CallerState;
  readonly ghosts?: readonly Command[];
  readonly chores?: readonly Command[];
}

export const FRESH: CallerState = {
  phase: 'ready',
  attempts: 0,
  replacing: undefined,
  reconciles: false,
  awaited: undefined,
  lease: undefined,
  grantedAt: 0,
  effect: undefined,
  call: undefined,
  answer: undefined,
};

const done = (caller: CallerState, answer: Answer): CallerState => ({
  ...caller,
  phase: 'done',
  call: undefined,
  answer,
});
const REFUSED: Answer = { kind: 'refused' };

/** The engine's protocol for one caller, as `core/engine/engine.ts` runs it, one move at a time. */
export class Protocol {
  constructor(
    private readonly steps: Steps,
    private readonly rule: AbandonedRule,
  ) {}

  claim(index: number, caller: CallerState, now: number): CallerState {
    const attempts = caller.attempts + 1;
    const request = {
      token: `token-${index}-${attempts}`,
      replacing: caller.replacing,
      leaseMs: LEASE,
      unsettledRetentionMs: FOREVER,
      onAbandoned: this.rule,
      fingerprint: undefined,
    };
    return send({ ...caller, phase: 'claiming', attempts }, { kind: 'claim', request }, now);
  }

  /** The answer to the caller's call arrives. */
  answered(caller: CallerState, now: number): Reaction {
    const { command, answer, sentAt } = caller.call!;
    const heard = { ...caller, call: undefined };
    switch (command.kind) {
      case 'claim': {
        const claimed = answer as ClaimAnswer;
        if (claimed.kind === 'existing') return { caller: this.consider(heard, claimed.record) };
        const lease = grantedLease(command.request, claimed.grant);
        // G4: answered so late that the lease may be over already.
        if (now >= sentAt + LEASE) return withdrawn({ ...heard, phase: 'ready' }, lease.token);
        const reconciles = heard.reconciles && lease.previousEnd === 'abandoned';
        return { caller: { ...heard, phase: 'working', lease, grantedAt: sentAt, reconciles } };
      }
      case 'renew':
        if (answer === false) return { caller: { ...heard, phase: 'following' } };
        return {
          caller: {
            ...heard,
            grantedAt: sentAt,
            lease: { ...heard.lease!, leaseEndsAtMs: answer as number },
          },
        };
      case 'settle':
        return { caller: this.#settled(heard, command.settlement, answer === true) };
      case 'release':
        return { caller: done(heard, { kind: 'failed' }) };
    }
  }

  /** The caller gives its call up at the deadline. */
  gaveUp(caller: CallerState): Reaction {
    const { command, isExecuted } = caller.call!;
    const ghosts = isExecuted ? [] : [command];
    const silent = { ...caller, call: undefined };
    switch (command.kind) {
      case 'claim':
        return {
          caller: done(silent, REFUSED),
          ghosts,
          chores: [{ kind: 'release', token: command.request.token }],
        };
      case 'renew':
        return { caller: silent, ghosts };
      case 'settle': {
        // G7: the result is the caller's all the same, and settling goes on.
        const answer: Answer =
          command.settlement.status === 'COMPLETED'
            ? { kind: 'ran', value: command.settlement.payload!, recorded: false }
            : { kind: 'failed' };
        return { caller: done(silent, answer), ghosts, chores: [command] };
      }
      case 'release':
        return { caller: done(silent, { kind: 'failed' }), ghosts, chores: [command] };
    }
  }

  /** What a record means to this caller. */
  consider(caller: CallerState, record: StoredRecord): CallerState {
    const decision = decide(record, {
      fingerprint: undefined,
      concurrent: 'wait',
      onDuplicate: 'replay',
      onAbandoned: this.rule,
      maxAttempts: Infinity,
      awaited: caller.awaited,
    });
    switch (decision.do) {
      case 'answer':
        return done(
          caller,
          record.status === 'COMPLETED' ? { kind: 'replayed', value: record.payload! } : { kind: 'failed' },
        );
      case 'refuse':
        return done(caller, REFUSED);
      case 'wait': {
        const { fence, token } = record;
        const awaited = caller.awaited && caller.awaited.fence > fence ? caller.awaited : { fence, token };
        return { ...caller, phase: 'waiting', awaited };
      }
      case 'take':
        return {
          ...caller,
          phase: 'ready',
          replacing: record.token,
          reconciles: decision.as === 'reconcile',
        };
    }
  }

  /** A waiter looks; a follower too, whose attempt lost the lease. */
  look(caller: CallerState, state: State): CallerState {
    const found = foundIn(this.steps, state);
    const record =
      found && found.status !== 'TOMBSTONE' ? this.steps.storedRecord(found, momentOf(state)) : undefined;
    if (caller.phase === 'following') return this.#follow(caller, record);
    if (!record) return { ...caller, phase: 'ready' };
    return this.consider(caller, record);
  }

  settle(caller: CallerState, how: 'completed' | 'failed' | 'unknown', now: number): CallerState {
    const lease = caller.lease!;
    const settlement: Settlement = {
      status: how === 'completed' ? 'COMPLETED' : how === 'failed' ? 'FAILED' : 'IN_PROGRESS',
      final: how === 'completed',
      failures: 0,
      payload: how === 'completed' ? caller.effect : undefined,
      retentionMs: FOREVER,
    };
    return send({ ...caller, phase: 'settling' }, { kind: 'settle', lease, settlement }, now);
  }

  /** G6: the success or failure that was recorded, or else LEASE_LOST. */
  #follow(caller: CallerState, record: StoredRecord | undefined): CallerState {
    if (record?.status === 'COMPLETED') return done(caller, { kind: 'replayed', value: record.payload! });
    if (record?.status === 'FAILED') return done(caller, { kind: 'failed' });
    return caller;
  }

  #settled(caller: CallerState, settlement: Settlement, accepted: boolean): CallerState {
    if (!accepted) return { ...caller, phase: 'following' };
    if (settlement.status !== 'COMPLETED') return done(caller, { kind: 'failed' });
    return done(caller, { kind: 'ran', value: settlement.payload!, recorded: true });
  }
}

export function send(caller: CallerState, command: Command, now: number): CallerState {
  return { ...caller, call: { command, sentAt: now, answer: undefined, isExecuted: false } };
}

function withdrawn(caller: CallerState, token: string): Reaction {
  return { caller, chores: [{ kind: 'release', token }] };
}
