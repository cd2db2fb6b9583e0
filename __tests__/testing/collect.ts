import {
  describeStoreContract,
  type ContractOptions,
  type ContractSubject,
  type TestRunner,
} from '../../src/testing/index.js';

export interface Collected {
  readonly titles: readonly string[];
  readonly skipped: readonly string[];
  /** Runs the tests whose titles match; the message of each that failed, by title. */
  run(titles: RegExp): Promise<Map<string, string>>;
}

/** The tests that the contract declares for a store, to be run here and not by jest: some of them must fail. */
export function collect(create: () => ContractSubject, options: ContractOptions = {}): Collected {
  const bodies = new Map<string, () => Promise<void>>();
  const skipped: string[] = [];
  const hooks: (() => Promise<void>)[] = [];
  const test = Object.assign((title: string, body: () => Promise<void>) => void bodies.set(title, body), {
    skip: (title: string) => void skipped.push(title),
  });
  const runner: TestRunner = {
    describe: (_, body) => body(),
    test,
    beforeEach: (hook) => void (hooks[0] = hook),
    afterEach: (hook) => void (hooks[1] = hook),
  };
  describeStoreContract('a store', create, { maxWaitMs: 300, ...options, runner });

  const runOne = async (body: () => Promise<void>): Promise<void> => {
    await hooks[0]?.();
    await body().finally(() => hooks[1]?.());
  };
  return {
    titles: [...bodies.keys()],
    skipped,
    async run(titles) {
      const failed = new Map<string, string>();
      const chosen = [...bodies].filter(([title]) => titles.test(title));
      if (chosen.length === 0) throw new Error(`no test is called ${String(titles)}`);
      for (const [title, body] of chosen) {
        await runOne(body).catch((error: unknown) => failed.set(title, String(error)));
      }
      return failed;
    },
  };
}
