import type { Finding, Terms } from './check.js';
import type { KeyStory, Stories } from './stories.js';

const SECOND_MS = 1_000;

/** After the nemesis has stopped, every key can be completed within lease + a second, by whoever asks. */
export function noWedge(stories: Stories, terms: Terms): Finding[] {
  const { healedAt } = stories;
  if (healedAt === undefined) return [];
  return [...stories.keys.values()].flatMap((story) => {
    const probers = probersOf(story);
    if (probers.length === 0) return [wedged(story, 'nobody asked for it after the nemesis had stopped')];
    return probers.flatMap((by): Finding[] => {
      const asked = Math.min(...probesOf(story, by).map(({ invoke }) => invoke.at));
      const completed = completedAt(story, by);
      if (completed === undefined) return [wedged(story, `${by} asks for it and gets no answer`)];
      // Work that was running all the time may be waited for.
      const from = Math.max(healedAt, asked, lastWorkEndedAt(story, completed));
      const allowedMs = terms.leaseMs + SECOND_MS + terms.slackMs + stories.stalledMs(by, from, completed);
      if (completed - from <= allowedMs) return [];
      return [
        wedged(story, `${by} waited ${Math.round(completed - from)} ms for it, after all was well again`),
      ];
    });
  });
}

/** How long it took, at worst, until a key had an answer after the nemesis had stopped. */
export function slowestRecoveryMs(stories: Stories): number {
  const { healedAt = 0 } = stories;
  const times = [...stories.keys.values()].map((story) => {
    const answers = probersOf(story).map((by) => completedAt(story, by) ?? Infinity);
    return answers.length === 0 ? 0 : Math.min(...answers) - healedAt;
  });
  return Math.max(0, ...times);
}

function wedged({ key }: KeyStory, what: string): Finding {
  return { property: 'No wedge', key, what, excuse: undefined };
}

const probersOf = (story: KeyStory): string[] => [
  ...new Set(story.calls.filter(({ invoke }) => invoke.probe).map(({ invoke }) => invoke.by)),
];

const probesOf = (story: KeyStory, by: string) =>
  story.calls.filter(({ invoke }) => invoke.probe && invoke.by === by);

function completedAt(story: KeyStory, by: string): number | undefined {
  return probesOf(story, by).find(({ answer }) => answer?.how === 'success')?.answer?.at;
}

function lastWorkEndedAt(story: KeyStory, before: number): number {
  const ends = [...story.attempts.values()].map(({ ended }) => ended?.at ?? 0).filter((at) => at < before);
  return Math.max(0, ...ends);
}
