// Adds to package-lock.json the optional binaries of other platforms that the registry at hand does not carry, which
// npm leaves out and `npm ci` then misses, and to each entry without one its integrity. Run it after `npm install` where `npm ci` says "Missing: … from lock file".
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const PLATFORM = /(darwin|linux|win32)(?:-(arm64|arm|x64|ia32))?/;
const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const { packages } = lock;

let added = 0;
for (const [path, entry] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isLocked(path, name)) continue;
    const [, os, cpu] = PLATFORM.exec(name) ?? [];
    packages[`node_modules/${name}`] = {
      version,
      integrity: integrityOf(name, version),
      ...(cpu && { cpu: [cpu] }),
      dev: true,
      license: entry.license,
      optional: true,
      ...(os && { os: [os] }),
    };
    added++;
  }
}
let completed = 0;
for (const [path, entry] of Object.entries(packages)) {
  if (path === '' || entry.link || entry.integrity) continue;
  const name = entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  entry.integrity = integrityOf(name, entry.version);
  completed++;
}
if (added + completed > 0) {
  lock.packages = Object.fromEntries(
    Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  );
  writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
}
console.log(`package-lock.json: ${added} added, ${completed} given their integrity`);

/** Fails where the registry does not know it: an entry that nothing is checked against must not be locked. */
function integrityOf(name, version) {
  const told = execFileSync('npm', ['view', `${name}@${version}`, 'dist.integrity'], {
    encoding: 'utf8',
  }).trim();
  if (!/^sha512-/.test(told)) throw new Error(`the registry tells no integrity of ${name}@${version}`);
  return told;
}

/** As Node resolves it: beside the package, or in any folder above. */
function isLocked(path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (`${at ? `${at}/` : ''}node_modules/${name}` in packages) return true;
    if (at === '') return false;
  }
}
