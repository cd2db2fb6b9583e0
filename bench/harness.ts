/** One thing to be measured: `operation(i)` is run `count` times, `inFlight` at a time. */
export interface System {
  readonly name: string;
  /** Makes what the round needs, outside of the measured time. */
  prepare?(round: number, count: number): Promise<void>;
  operation(round: number, i: number): Promise<unknown>;
}

/** Operations a second. */
async function measure(system: System, round: number, count: number, inFlight: number): Promise<number> {
  await system.prepare?.(round, count);
  let next = 0;
  const worker = async () => {
    while (next < count) await system.operation(round, next++);
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, worker));
  return (count / (performance.now() - startedMs)) * 1_000;
}

/**
 * The median, over the rounds, of how fast each system is against the floor in the same round. The systems alternate
 * within a round, so that a slow second of the machine slows them all.
 */
export async function compare(
  floor: System,
  systems: readonly System[],
  { rounds, count, inFlight }: { rounds: number; count: number; inFlight: number },
): Promise<{ name: string; ratio: number; perSecond: number }[]> {
  const all = [floor, ...systems];
  for (const system of all) await measure(system, -1, Math.min(count, 2_000), inFlight);
  const speeds = new Map(all.map((system) => [system, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? all : [...all].reverse();
    for (const system of order) speeds.get(system)!.push(await measure(system, round, count, inFlight));
  }
  const floorSpeeds = speeds.get(floor)!;
  return all.map((system) => {
    const own = speeds.get(system)!;
    const ratio = median(own.map((speed, round) => speed / floorSpeeds[round]!));
    return { name: system.name, ratio, perSecond: median(own) };
  });
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
