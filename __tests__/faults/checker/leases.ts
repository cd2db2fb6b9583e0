import type { Finding, Terms } from './check.js';
import { claimOf, granted, type Attempt, type KeyStory, type Stories } from './stories.js';

/** Stores count whole milliseconds, and the machine's clock may be drawn slowly to another one's while we run. */
const CLOCK_MS = 10;

/**
 * Whether the lease of `earlier` may have been over when `later` was granted the key. A lease lasts from the moment at which
 * the store executed the claim or renewal: after it was sent, before it was answered. So this never blames a store wrongly,
 * however slow the machine is.
 */
function leaseWasOver(earlier: Attempt, later: Attempt, terms: Terms): boolean {
  const claim = claimOf(later)!;
  const known = earlier.grants.filter((grant) => grant.at < claim.sentAt);
  if (known.length === 0) return true;
  const sentAt = Math.max(...known.map((grant) => grant.sentAt));
  return claim.at >= sentAt + terms.leaseMs - CLOCK_MS;
}

/** Whether one attempt was granted the key surely before another one asked for it. */
const isEarlier = (a: Attempt, b: Attempt): boolean => claimOf(a)!.at < claimOf(b)!.sentAt;

function pairs(attempts: readonly Attempt[]): [earlier: Attempt, later: Attempt][] {
  return attempts.flatMap((earlier) =>
    attempts
      .filter((later) => isEarlier(earlier, later))
      .map((later): [Attempt, Attempt] => [earlier, later]),
  );
}

/**
 * Between two effects under one key there is a lease expiry, and no two executions run at a time without one. With no pause or
 * crash injected there is exactly one effect.
 */
export function noOverlap(stories: Stories, terms: Terms): Finding[] {
  return [...stories.keys.values()].flatMap((story) => {
    const blamed = pairs(granted(story)).flatMap(([earlier, later]): Finding[] => {
      const what = collision(earlier, later);
      if (what === undefined || leaseWasOver(earlier, later, terms)) return [];
      const isLost = stories.lostBetween(claimOf(earlier)!.sentAt, claimOf(later)!.at);
      const excuse = isLost ? 'the store had lost its data in between' : undefined;
      return [{ property: 'No overlap', key: story.key, what, excuse }];
    });
    return [...blamed, ...(terms.calm ? notOnce(story) : [])];
  });
}

function collision(earlier: Attempt, later: Attempt): string | undefined {
  if (earlier.effect && later.effect) {
    return `${later.token} had an effect after ${earlier.token}, without a lease that ran out in between`;
  }
  const endedAt = earlier.ended?.at ?? Infinity;
  if (!earlier.started || !later.started || endedAt < claimOf(later)!.at) return undefined;
  return `${later.token} ran beside ${earlier.token}, whose lease was not over`;
}

function notOnce(story: KeyStory): Finding[] {
  const isAnswered = story.calls.some(({ answer }) => answer?.how === 'success');
  const { length } = story.effects;
  if (length === 1 || (length === 0 && !isAnswered)) return [];
  const what = `${length} effects, and nothing was disturbed`;
  return [{ property: 'No overlap', key: story.key, what, excuse: undefined }];
}

/** G5: fences grow; and a downstream that refuses lower ones applies nothing out of turn. */
export function fences(stories: Stories): Finding[] {
  return [...stories.keys.values()].flatMap((story) => [
    ...fallen(story).map((what): Finding => ({
      property: 'Fences',
      key: story.key,
      what,
      excuse: undefined,
    })),
    ...downstream(story).faults.map((what): Finding => ({
      property: 'Fences',
      key: story.key,
      what,
      excuse: undefined,
    })),
  ]);
}

function fallen(story: KeyStory): string[] {
  return pairs(granted(story))
    .filter(([earlier, later]) => later.fence <= earlier.fence)
    .map(
      ([earlier, later]) =>
        `${later.token} was granted fence ${later.fence} after ${earlier.token} had ${earlier.fence}`,
    );
}

/**
 * What becomes of a key's effects in a downstream that refuses a fence lower than one it has seen: what is applied must
 * follow the order of the grants, and the newest owner must never be refused.
 */
export function downstream(story: KeyStory): { faults: string[]; refused: number } {
  const faults: string[] = [];
  let newest: Attempt | undefined;
  let refused = 0;
  for (const effect of story.effects) {
    const attempt = story.attempts.get(effect.token)!;
    if (!claimOf(attempt)) continue;
    const isRefused = newest !== undefined && effect.fence < newest.fence;
    if (isRefused && isEarlier(newest!, attempt)) {
      faults.push(
        `the downstream refused ${attempt.token}, the newest owner, for the sake of ${newest!.token}`,
      );
    }
    if (!isRefused && newest && isEarlier(attempt, newest)) {
      faults.push(`the downstream applied ${attempt.token} after ${newest.token}, which was granted later`);
    }
    if (isRefused) refused++;
    else newest = attempt;
  }
  return { faults, refused };
}
