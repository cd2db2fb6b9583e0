import { execFile } from 'node:child_process';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnv } from '../package/projects.js';
import { ROOT } from './snippets.js';

const run = promisify(execFile);
const TIMEOUT_MS = 240_000;

/** A piece of a page, in the order of the page: a fenced block, or the prose before it. */
export interface Piece {
  /** The fence's language; empty for prose. */
  readonly kind: string;
  readonly text: string;
}

/** The pieces of a page between two texts, the second of which is not part of it. */
export async function piecesOf(page: string, from: string, to: string): Promise<Piece[]> {
  const text = await readFile(join(ROOT, page), 'utf8');
  const start = text.indexOf(from);
  const end = text.indexOf(to, start + from.length);
  if (start < 0 || end < 0) throw new Error(`${page} has no part from "${from}" to "${to}"`);
  return text
    .slice(start, end)
    .split(/^(```[^`]*\n[\s\S]*?^```$)/m)
    .map((part) => {
      const [, kind, code] = /^```([^`\n]*)\n([\s\S]*)```$/.exec(part) ?? [];
      return kind === undefined ? { kind: '', text: part } : { kind, text: code ?? '' };
    });
}

/** The commands that stand in prose, as `npm init --yes`. */
export const commandsIn = (prose: string): string[] =>
  [...prose.matchAll(/`((?:npm|npx) [^`]+)`/g)].map(([, command = '']) => command);

/** The last file that prose names, as `try.ts`. */
export const fileNamedIn = (prose: string): string | undefined =>
  [...prose.matchAll(/`([\w.-]+\.(?:ts|json))`/g)].at(-1)?.[1];

/**
 * Somebody who has a folder of their own, the docs, and the package registry: every command and file is one of the docs. One
 * thing is changed: the library is not in the registry yet, so it is installed from its tarball.
 */
export class Reader {
  private constructor(
    private readonly folder: string,
    private readonly tarball: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  static async inNewFolder(tarball: string, env: NodeJS.ProcessEnv = {}): Promise<Reader> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'twiceshy-reader-')));
    return new Reader(folder, tarball, { ...cleanEnv(), NO_COLOR: '1', ...env });
  }

  /** @throws Error with all that it printed, if it fails */
  async runs(command: string): Promise<string> {
    const [name = '', ...words] = command.trim().split(/\s+/);
    const isInstall = name === 'npm' && words[0] === 'install';
    const args = words.map((word) => (isInstall && word === 'twiceshy' ? this.tarball : word));
    const options = { cwd: this.folder, env: this.env, timeout: TIMEOUT_MS };
    return run(name, args, options).then(
      ({ stdout, stderr }) => stdout + stderr,
      (error: Error & { stdout?: string; stderr?: string }) => {
        const printed = `${error.stdout ?? ''}${error.stderr ?? ''}`;
        throw new Error(`"${command}" failed: ${error.message}\n${printed}`, { cause: error });
      },
    );
  }

  async runsEach(block: string): Promise<string> {
    let printed = '';
    for (const command of block.trim().split('\n')) printed += await this.runs(command);
    return printed;
  }

  async saves(name: string, text: string): Promise<void> {
    await writeFile(join(this.folder, name), text);
  }

  async leaves(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Whether the package registry can be asked. */
export const hasRegistry = (): Promise<boolean> =>
  run('npm', ['ping'], { env: cleanEnv(), timeout: 20_000 }).then(
    () => true,
    () => false,
  );
