/**
 * Fails a test file that leaves something behind (G8): a timer or socket that keeps the process alive, a
 * server, a child process, a rejection nobody handled, or too many listeners on one emitter.
 *
 * It listens to jest-circus' own events instead of using `afterAll`, because the hooks of this file would run
 * before those of the test file, whose `afterAll` is where servers and clients are closed.
 */
import { timersOf } from './timers-of.js';

interface CircusState {
  /** The real process: the one inside the sandbox is a copy that no event ever reaches. */
  readonly parentProcess: NodeJS.Process;
  /** Whatever is pushed here fails the file. */
  readonly unhandledErrors: unknown[];
}
type CircusHandler = (event: { readonly name: string }, state: CircusState) => Promise<void> | undefined;

// Only what a test can open and jest does not: pipes, message ports and TTYs are its workers' own.
const WATCHED = new Set([
  'Timeout',
  'TCPSocketWrap',
  'TCPServerWrap',
  'TLSWrap',
  'UDPWrap',
  'PipeServerWrap',
  'ProcessWrap',
  'Worker',
]);
const SETTLE_MS = 1_000;
const REPORTER_MS = 110;

const handlers = (globalThis as unknown as Record<symbol, CircusHandler[] | undefined>)[
  Symbol.for('EVENT_HANDLERS')
];
if (!Array.isArray(handlers)) throw new Error('no-leaks.ts: jest-circus has changed, its handlers are gone');
// Taken now, so that a file which leaves fake timers behind is judged by the real ones.
const { setImmediate: nextTurn, performance } = globalThis;
const turn = (): Promise<void> => new Promise((resolve) => void nextTurn(resolve));

let before = new Map<string, number>();
const warnings: Error[] = [];
const keepWarning = (warning: Error): void => {
  if (warning.name === 'MaxListenersExceededWarning') warnings.push(warning);
};

handlers.push((event, state) => {
  if (event.name === 'run_finish') return judge(state);
  if (event.name === 'run_start') return begin(state);
  return undefined;
});

async function begin({ parentProcess }: CircusState): Promise<void> {
  parentProcess.on('warning', keepWarning);
  // Without workers jest's reporter lives in this process: an interval, and now and then a timer of 100 ms
  // that would count as there before and so hide one of ours.
  const giveUpAt = performance.now() + REPORTER_MS;
  do {
    before = countResources(parentProcess);
    await turn();
  } while ((before.get('Timeout') ?? 0) > 1 && performance.now() < giveUpAt);
}

async function judge(state: CircusState): Promise<void> {
  const rejections = new Map<Promise<unknown>, unknown>();
  const onRejection = (reason: unknown, promise: Promise<unknown>): void =>
    void rejections.set(promise, reason);
  const onHandled = (promise: Promise<unknown>): void => void rejections.delete(promise);
  // Circus reports the rejections of the tests themselves; these are the ones that come after the last hook.
  state.parentProcess.on('unhandledRejection', onRejection);
  state.parentProcess.on('rejectionHandled', onHandled);
  const leaks = await leftBehind(state.parentProcess);
  state.parentProcess.off('unhandledRejection', onRejection);
  state.parentProcess.off('rejectionHandled', onHandled);
  state.parentProcess.off('warning', keepWarning);

  if (leaks.length > 0) {
    const error = new Error(`left behind, ${SETTLE_MS} ms after the last hook: ${leaks.join(', ')}`);
    error.stack = `${error.name}: ${error.message}`;
    state.unhandledErrors.push(error);
  }
  state.unhandledErrors.push(...rejections.values(), ...warnings);
}

/** What is still there after a while, one text each. */
async function leftBehind(process: NodeJS.Process): Promise<string[]> {
  const grown = await settle(process);
  const timers = grown.get('Timeout');
  if (timers === undefined) return describe(grown);
  // A worker runs one file after the other. What an earlier file's engine still tells its store, with a pause in between,
  // may show only now, and says nothing about this file.
  const { own, ofOtherFiles } = await timersOf(process);
  if (timers <= ofOtherFiles) grown.delete('Timeout');
  else grown.set('Timeout', timers - ofOtherFiles);
  return [...describe(grown), ...(grown.has('Timeout') ? own : [])];
}

const describe = (counts: Map<string, number>): string[] =>
  [...counts].map(([kind, count]) => `${count} ${kind}`);

/** Gives what is closing some turns of the event loop; at least two, for rejections to show. */
async function settle(process: NodeJS.Process): Promise<Map<string, number>> {
  const giveUpAt = performance.now() + SETTLE_MS;
  await turn();
  for (;;) {
    await turn();
    const more = grown(countResources(process));
    if (more.size === 0 || performance.now() >= giveUpAt) return more;
  }
}

function grown(now: Map<string, number>): Map<string, number> {
  const more = [...now].map(([kind, count]) => [kind, count - (before.get(kind) ?? 0)] as const);
  return new Map(more.filter(([, count]) => count > 0));
}

/** How many there are of each kind; unref'd ones are not listed by Node, and are no leak. */
function countResources(process: NodeJS.Process): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (WATCHED.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}
