// The budget: core plus task plus Redis store, minified and gzipped, without the client library.
// `--parts` says beside that what each folder weighs in it.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const BUDGET = 15 * 1024;
const entries = ['./src/index.ts', './src/stores/redis.ts'];

const { outputFiles, metafile } = await build({
  // One bundle of both, as an application that uses both would ship them.
  stdin: { contents: entries.map((entry) => `export * from '${entry}';`).join('\n'), resolveDir: '.' },
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['ioredis'],
  metafile: true,
  write: false,
});
const [bundle] = outputFiles;
const size = gzipSync(bundle.contents, { level: 9 }).length;
const kb = (bytes) => `${(bytes / 1024).toFixed(2)} KB`;

if (process.argv.includes('--parts')) {
  const parts = new Map();
  for (const [file, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0].inputs)) {
    const part = /(?:^src\/[\w-]+)|(?:node_modules\/[\w-]+)/.exec(file)?.[0] ?? file;
    parts.set(part, (parts.get(part) ?? 0) + bytesInOutput);
  }
  for (const [part, bytes] of [...parts].sort((a, b) => b[1] - a[1])) {
    // Gzip shares its dictionary among the parts, so a part alone has only its minified size.
    console.log(`size: ${kb(bytes).padStart(9)} min  ${part}`);
  }
}

const figure = `core + task + Redis store: ${kb(size)} min+gzip (${kb(bundle.contents.length)} min), budget ${kb(BUDGET)}`;
if (size > BUDGET) {
  console.error(`size: ${figure}: over by ${size - BUDGET} bytes`);
  process.exit(1);
}
console.log(`size: ${figure}`);
