import { describe, expect, test } from '@jest/globals';
import { check, traceOf, type Finding } from './checker/check.js';
import { Book, goodHistory, TERMS } from './checker/examples.js';
import { WRONG, wrongHistory } from './checker/wrong.js';
import type { HistoryEvent } from './history.js';
import { Random } from './random.js';

const SEEDS = Array.from({ length: 60 }, (_, index) => 1_000 + index);
const names = (findings: readonly Finding[]) => [...new Set(findings.map(({ property }) => property))];

describe('the checker decides from a history alone', () => {
  test('a history in which nothing is wrong has no violation', () => {
    for (const seed of SEEDS)
      expect({ seed, of: check(goodHistory(seed), TERMS).violations }).toEqual({ seed, of: [] });
  });

  test.each(WRONG)('$property: $what', (wrong) => {
    const terms = { ...TERMS, ...wrong.terms };
    for (const seed of SEEDS) {
      const { violations } = check(withoutCrowd(wrongHistory(wrong, seed), terms.calm), terms);
      expect({ seed, of: names(violations) }).toMatchObject({
        seed,
        of: expect.arrayContaining([wrong.property]),
      });
      expect({ seed, of: violations.filter(({ key }) => key !== 'wrong' && key !== '') }).toEqual({
        seed,
        of: [],
      });
    }
  });

  test('what is wrong about one key is all that a report of it shows', () => {
    const history = wrongHistory(WRONG[0]!, 1);
    const [finding] = check(history, TERMS).violations;
    const trace = traceOf(history, finding!);
    expect(trace.length).toBeGreaterThan(3);
    expect(trace.filter((line) => /"key":"k\d/.test(line))).toEqual([]);
  });
});

/** A calm history has no crash and no takeover: only the wrong key and the healing are left. */
function withoutCrowd(history: readonly HistoryEvent[], calm: boolean): HistoryEvent[] {
  return calm ? history.filter((event) => !('key' in event) || event.key === 'wrong') : [...history];
}

describe('what is excused is counted, and no violation', () => {
  const book = () => new Book(new Random(7));
  const verdictOf = ({ events }: Book) => {
    const { violations, excused } = check(events, TERMS);
    return { violations: names(violations), excused: names(excused) };
  };

  test('a store that lost its data: a second run, another answer, an overlap', () => {
    const history = book();
    history.crash('w1', 'k');
    const from = history.now;
    history.note('nemesis', { is: 'loss', from });
    const first = history.run('w2', 'k');
    history.duplicate('w2', 'k', first).note('nemesis', { is: 'loss', from: history.now });
    history.heal({ k: history.run('w3', 'k') });
    expect(verdictOf(history)).toEqual({
      violations: [],
      excused: ['No lost answer', 'Agreement', 'No overlap'],
    });
  });

  test('but nothing that happened after the loss', () => {
    const history = book();
    history.crash('w1', 'k');
    history.note('nemesis', { is: 'loss', from: history.now });
    const value = history.run('w2', 'k');
    history.duplicate('w2', 'k', 'another').heal({ k: value });
    expect(verdictOf(history).violations).toEqual(['No lost answer', 'Agreement']);
  });

  test('an answer that was marked unrecorded, and its copies in that process until it is recorded', () => {
    const unrecorded = (recordedLate: boolean) => {
      const history = book();
      const call = history.invoke('w1', 'k');
      const owner = history.grant('w1', 'k');
      const { key, token, fence } = owner;
      const value = history.effect(owner, call);
      history.end(owner, call).note('w1', { is: 'unrecorded', key, token, fence });
      history.answer('k', call, { how: 'success', value, recorded: false, token });
      if (recordedLate) history.note('w1', { is: 'recorded-late', key, token, fence });
      const joiner = history.invoke('w1', 'k');
      history.answer('k', joiner, { how: 'success', value, recorded: true, token });
      return history.pass(TERMS.leaseMs).heal({ k: history.run('w2', 'k') });
    };
    expect(verdictOf(unrecorded(false))).toEqual({ violations: [], excused: ['Agreement'] });
    expect(verdictOf(unrecorded(true)).violations).toEqual(['No lost answer', 'Agreement']);
  });

  test('also after another process has recorded something, until this one has heard of that', () => {
    const history = book();
    const call = history.invoke('w1', 'k');
    const { key, token, fence, ...owner } = history.grant('w1', 'k');
    const value = history.effect({ key, token, fence, ...owner }, call);
    history.note('w1', { is: 'unrecorded', key, token, fence });
    history.answer('k', call, { how: 'success', value, recorded: false, token });
    const other = history.pass(TERMS.leaseMs).run('w2', 'k');
    const joiner = history.invoke('w1', 'k');
    history.answer('k', joiner, { how: 'success', value, recorded: true, token }).heal({ k: other });
    expect(verdictOf(history)).toEqual({ violations: [], excused: ['No lost answer', 'Agreement'] });

    history.duplicate('w3', 'k', value);
    expect(verdictOf(history).violations).toEqual(['No lost answer', 'Agreement']);
  });

  test('calls of a process that was killed, and the time that a process was stopped', () => {
    const killed = book();
    killed.invoke('w1', 'k');
    killed.note('nemesis', { is: 'killed', worker: 'w1' });
    killed.heal({ k: killed.run('w2', 'k') });
    expect(verdictOf(killed)).toEqual({ violations: [], excused: [] });

    const stopped = book();
    const call = stopped.invoke('w1', 'k');
    const value = stopped.run('w2', 'k');
    stopped.pass(3_000).note('w1', { is: 'stalled', from: stopped.now - 3_000 });
    stopped.answer('k', call, { how: 'success', value, recorded: true }).heal({ k: value });
    expect(verdictOf(stopped)).toEqual({ violations: [], excused: [] });
  });

  test('a downstream that looks at the fence refuses the effect of an owner that was paused', () => {
    const history = book();
    const call = history.invoke('w1', 'k');
    const stale = history.grant('w1', 'k');
    const value = history.pass(TERMS.leaseMs).run('w2', 'k');
    history.effect(stale, call);
    history.answer('k', call, { how: 'success', value, recorded: true }).heal({ k: value });
    const { violations, effects, refusedByFence } = check(history.events, TERMS);
    expect({ violations, effects, refusedByFence }).toEqual({
      violations: [],
      effects: 2,
      refusedByFence: 1,
    });
  });
});
