import { Session } from 'node:inspector';

/** The timers that keep this process alive. */
export interface LiveTimers {
  /** How long and what each of them runs: those of the test file that asks, and of Node itself. */
  readonly own: string[];
  /** How many were set by test files that ran here before: each file has a realm, and so a Function, of its own. */
  readonly ofOtherFiles: number;
}

interface RemoteValue {
  readonly result: { readonly objectId?: string; readonly value?: LiveTimers };
}

const FUNCTION = Symbol.for('twiceshy.tests.function');

/** Node lists timers by their kind alone; the inspector finds the objects. Slow, so for a file that has failed already. */
export async function timersOf(process: NodeJS.Process): Promise<LiveTimers> {
  Object.assign(process, { [FUNCTION]: Function });
  const session = new Session();
  session.connect();
  const ask = <R>(method: string, parameters: object): Promise<R> =>
    new Promise((resolve, reject) =>
      session.post(method, parameters, (error, answer) => (error ? reject(error) : resolve(answer as R))),
    );
  try {
    const prototype = await ask<RemoteValue>('Runtime.evaluate', { expression: `(${prototypeOfTimers})()` });
    const { objects } = await ask<{ objects: { objectId: string } }>('Runtime.queryObjects', {
      prototypeObjectId: prototype.result.objectId,
    });
    const told = await ask<RemoteValue>('Runtime.callFunctionOn', {
      objectId: objects.objectId,
      functionDeclaration: `function () { return (${sortTimers})(this) }`,
      returnByValue: true,
    });
    return told.result.value ?? { own: [], ofOtherFiles: 0 };
  } finally {
    session.disconnect();
  }
}

// Both are text, since they run in the realm of Node itself.
const prototypeOfTimers = `() => {
  const timer = setTimeout(() => undefined, 0);
  clearTimeout(timer);
  return Object.getPrototypeOf(timer);
}`;
const sortTimers = `(timers) => {
  const live = timers.filter((timer) => timer.hasRef() && !timer._destroyed && timer._onTimeout);
  const own = live.filter(({ _onTimeout: run }) =>
    run instanceof process[Symbol.for('twiceshy.tests.function')] || run instanceof Function);
  return {
    own: own.map(({ _idleTimeout: ms, _onTimeout: run }) => Math.round(ms) + ' ms: ' + String(run).slice(0, 200)),
    ofOtherFiles: live.length - own.length,
  };
}`;
