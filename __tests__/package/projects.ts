import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Packs the library once, and makes projects that have it installed as their users would. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FIXTURES = fileURLToPath(new URL('fixtures/', import.meta.url));
const run = promisify(execFile);
const maxBuffer = 32 * 1024 * 1024;

interface Manifest {
  readonly exports: Record<string, unknown>;
}

/** How a command ended. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

export interface Project {
  readonly folder: string;
  /** Runs a file with Node, and gives what it printed, which is JSON. */
  node<T>(file: string): Promise<T>;
  /** Runs a bin of the repo's own node_modules in the project, such as `jest/bin/jest.js`. */
  tool(bin: string, args: readonly string[], nodeFlags?: readonly string[]): Promise<Ended>;
  /** Runs any program in the project. */
  run(command: string, args: readonly string[], env?: Record<string, string>): Promise<Ended>;
}

export interface ProjectOptions {
  /** Packages to link from the repo's node_modules, so that nothing is downloaded. */
  readonly links?: readonly string[];
  /** A node_modules whose packages are all linked. */
  readonly modules?: string;
  /** A folder of the fixture whose packages are put in its node_modules. */
  readonly stubs?: string;
  /** The name of the copy. @default the fixture's */
  readonly folder?: string;
}

export class Workshop {
  private constructor(
    private readonly folder: string,
    readonly tarball: string,
    /** The paths in the tarball. */
    readonly packed: readonly string[],
  ) {}

  /** Builds where the build is older than the sources, and packs. */
  static async open(): Promise<Workshop> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'twiceshy-package-')));
    if (!(await isBuilt())) await must(run('npx', ['tsup'], { cwd: ROOT, env: cleanEnv() }));
    const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
    const { stdout } = await must(run('npm', pack, { cwd: ROOT, env: cleanEnv() }));
    const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
    const paths = packed.files.map(({ path }) => path);
    return new Workshop(folder, join(folder, packed.filename), paths);
  }

  /** A copy of the fixture with the tarball installed, and nothing else but what is asked for. */
  async project(
    fixture: string,
    { links = [], stubs, modules: linked, ...as }: ProjectOptions = {},
  ): Promise<Project> {
    const folder = join(this.folder, as.folder ?? fixture);
    await cp(join(FIXTURES, fixture), folder, { recursive: true });
    // Offline: the library has no dependencies, and its peers are optional.
    const install = ['install', '--offline', '--no-audit', '--no-fund', this.tarball];
    await must(run('npm', install, { cwd: folder, env: cleanEnv() }));
    const modules = join(folder, 'node_modules');
    // After the install, which removes what it does not know.
    if (stubs) await cp(join(folder, stubs), modules, { recursive: true });
    for (const name of linked ? await packagesIn(linked) : []) await link(join(linked!, name), name, modules);
    for (const name of links) await link(join(ROOT, 'node_modules', name), name, modules);
    const env = cleanEnv();
    return {
      folder,
      async node<T>(file: string) {
        const { stdout } = await must(run(process.execPath, [file], { cwd: folder, env, timeout: 10_000 }));
        return JSON.parse(stdout) as T;
      },
      async tool(bin, args, nodeFlags = []) {
        const command = [...nodeFlags, join(ROOT, 'node_modules', bin), ...args];
        return endOf(run(process.execPath, command, { cwd: folder, env, timeout: 60_000 }));
      },
      run: (command, args, more) =>
        endOf(run(command, args, { cwd: folder, env: { ...env, ...more }, timeout: 240_000, maxBuffer })),
    };
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The files that `exports` names, as paths in the tarball. */
export async function exportedFiles(): Promise<string[]> {
  const { exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  return leaves(exports).map((path) => path.replace('./', ''));
}

export async function readDist(pattern: RegExp): Promise<Map<string, string>> {
  const names = (await readdir(join(ROOT, 'dist'))).filter((name) => pattern.test(name));
  const texts = names.map(async (name) => [name, await readFile(join(ROOT, 'dist', name), 'utf8')] as const);
  return new Map(await Promise.all(texts));
}

/** Whether every file that users import is there, and none is older than what it was made of. */
async function isBuilt(): Promise<boolean> {
  const built = (await exportedFiles())
    .filter((path) => path.startsWith('dist/'))
    .map((path) => join(ROOT, path));
  if (!built.every((path) => existsSync(path))) return false;
  const sources = (await readdir(join(ROOT, 'src'), { recursive: true })).map((path) =>
    join(ROOT, 'src', path),
  );
  const times = (paths: string[]) => Promise.all(paths.map(async (path) => (await stat(path)).mtimeMs));
  const oldest = Math.min(...(await times(built)));
  return oldest > Math.max(...(await times([...sources, join(ROOT, 'tsup.config.ts')])));
}

function leaves(tree: unknown): string[] {
  if (typeof tree === 'string') return [tree];
  return Object.values(tree as Record<string, unknown>).flatMap(leaves);
}

async function link(from: string, name: string, modules: string): Promise<void> {
  await mkdir(dirname(join(modules, name)), { recursive: true });
  await symlink(from, join(modules, name), 'dir');
}

/** The names of the packages in a node_modules, those of scopes included. */
async function packagesIn(modules: string): Promise<string[]> {
  const names = (await readdir(modules)).filter((name) => !name.startsWith('.'));
  const all = names.map(async (name) =>
    name.startsWith('@') ? (await readdir(join(modules, name))).map((inner) => `${name}/${inner}`) : [name],
  );
  return (await Promise.all(all)).flat();
}

/** Without what jest and npm set for their own children, and without a Redis that happens to be configured. */
export function cleanEnv(): NodeJS.ProcessEnv {
  const foreign = /^(npm_|JEST_|NODE_|REDIS_URL$|FORCE_COLOR$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

interface Failed {
  readonly code?: unknown;
  readonly stdout?: string;
  readonly stderr?: string;
}

async function endOf(ending: Promise<{ stdout: string; stderr: string }>): Promise<Ended> {
  try {
    const { stdout, stderr } = await ending;
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as Failed;
    // No number: it was killed, since it did not end in time.
    return { code: typeof code === 'number' ? code : -1, output: stdout + stderr };
  }
}

/** Fails with what the command printed on both streams: compilers use the one, Node the other. */
async function must<T extends { stdout: string; stderr: string }>(ending: Promise<T>): Promise<T> {
  try {
    return await ending;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as Failed;
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${stdout}${stderr}`, {
      cause: error,
    });
  }
}
