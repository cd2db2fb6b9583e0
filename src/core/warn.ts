/** Where warnings go that nobody has given a logger for. Some runtimes have no `process`, or none that takes warnings. */
export function emitWarning(message: string): void {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> };
  if (typeof process?.emitWarning === 'function') process.emitWarning(message, 'TwiceshyWarning');
  // eslint-disable-next-line no-console -- the one place left where somebody may see it
  else console.warn(`TwiceshyWarning: ${message}`);
}
