import { StoreError } from '../../core/errors.js';
import { NO_STEPS, type RecordedStep } from '../../core/record.js';

/** How the line of a step of that name begins. */
export const stepStart = (name: string): string => `[${JSON.stringify(name)},`;

export const stepLine = ({ name, payload }: RecordedStep): string =>
  `${stepStart(name)}${JSON.stringify(payload ?? null)}]`;

/** Steps as they stand in front of the body. */
export function stepsText(steps: readonly RecordedStep[]): string {
  return steps.length === 0 ? '' : `\n${steps.map(stepLine).join('\n')}\n\n`;
}

/** @throws StoreError CORRUPT_RECORD */
export function parseSteps(text: string): readonly RecordedStep[] {
  if (text === '') return NO_STEPS;
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [name, payload] = parseLine(line);
    return { name, payload: payload ?? undefined };
  });
}

function parseLine(line: string): [string, string | null] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    parsed = undefined;
  }
  if (Array.isArray(parsed) && typeof parsed[0] === 'string' && isPayload(parsed[1]))
    return [parsed[0], parsed[1]];
  const message = "a recorded step can't be read: look at the record, then forget() or resolve() the key";
  throw new StoreError('CORRUPT_RECORD', message);
}

const isPayload = (value: unknown): value is string | null => value === null || typeof value === 'string';
