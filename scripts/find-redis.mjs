import { execFileSync } from 'node:child_process';

/** The first Redis-compatible server binary on PATH, or undefined. */
export function findRedisServer() {
  for (const name of ['redis-server', 'valkey-server']) {
    try {
      execFileSync(name, ['--version'], { stdio: 'pipe' });
      return name;
    } catch {
      // Not on PATH: try the next.
    }
  }
  return undefined;
}
