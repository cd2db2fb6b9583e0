import { cpus, totalmem } from 'node:os';
import type { Outcome } from './run-scenario.js';

const COLUMNS = [
  'fault',
  'runs',
  'calls',
  'effects',
  'violations',
  'excused',
  'keys run twice',
  'refused by fence',
  'slowest recovery',
] as const;

/** What the runs of each fault came to, as a table in Markdown. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const faults = [...new Set(outcomes.map(({ name }) => name))];
  const rows = faults.map((name) =>
    row(
      name,
      outcomes.filter((outcome) => outcome.name === name),
    ),
  );
  const all = row('all', outcomes);
  return [COLUMNS, COLUMNS.map((_, index) => (index === 0 ? '---' : '--:')), ...rows, all]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

function row(name: string, runs: readonly Outcome[]): string[] {
  const sum = (of: (run: Outcome) => number): string =>
    String(runs.reduce((total, run) => total + of(run), 0));
  const slowestMs = Math.max(...runs.map(({ slowestRecoveryMs }) => slowestRecoveryMs));
  return [
    name,
    String(runs.length),
    sum(({ calls }) => calls),
    sum(({ effects }) => effects),
    sum(({ violations }) => violations.length),
    sum(({ excused }) => excused.length),
    sum(({ repeatedKeys }) => repeatedKeys),
    sum(({ refusedByFence }) => refusedByFence),
    `${(slowestMs / 1_000).toFixed(2)} s`,
  ];
}

/** Where it ran. */
export function machine(): string {
  const [first] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  return `${cpus().length} x ${first?.model.trim() ?? 'unknown processor'}, ${memory}, Node ${process.version}`;
}
