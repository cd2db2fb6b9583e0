import { UsageError } from './errors.js';

/** The longest that a call waits for a function in its options. The timeout of a store may be hours; this is what people wait. */
export const LONGEST_ASKING_MS = 10_000;

/** A function in the options did not answer in time. Most likely it waits for what is away just now: it may answer next time. */
export class LateAnswer extends UsageError {
  constructor(option: string) {
    super('INVALID_OPTIONS', `${option} did not answer within ${LONGEST_ASKING_MS} ms`);
  }
}

/**
 * What a function in the options answers, if it does so in time.
 * @param isHeldUp whether it waits for somebody else's doing just now, such as a client that is still sending: that is not counted
 * @throws LateAnswer; or what it threw
 */
export async function answerInTime<T>(
  option: string,
  ask: () => T,
  isHeldUp: () => boolean = () => false,
): Promise<Awaited<T>> {
  const answer = ask();
  if (typeof answer !== 'object' || answer === null) return answer as Awaited<T>;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const look = () => (isHeldUp() ? wait() : reject(new LateAnswer(option)));
    const wait = () => void (timer = setTimeout(look, LONGEST_ASKING_MS));
    wait();
  });
  try {
    return await Promise.race([Promise.resolve(answer), late]);
  } finally {
    clearTimeout(timer);
  }
}
