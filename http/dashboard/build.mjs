// Builds the dashboard into ../joulegate_http/static, or into the folder that is named: hashed assets, two HTML pages, the licences of what is bundled, and a manifest
// with the digest of these sources (see digest.mjs), by which the tests know that what is committed was built from what is committed.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { sourceDigest } from './digest.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const shipped = join(here, '..', 'joulegate_http', 'static');
const out = process.argv[2] ?? shipped;
const assets = join(out, 'assets');
const bundled = ['preact', '@preact/signals', '@preact/signals-core', 'uplot'];

rmSync(out, { recursive: true, force: true });
mkdirSync(assets, { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: 'src/main.tsx', docs: 'src/docs/main.tsx', theme: 'src/theme.ts', style: 'src/styles/index.css' },
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['es2022'],
  outdir: assets,
  write: false,
  legalComments: 'none', // LICENSES.txt has them whole
  define: { 'process.env.NODE_ENV': '"production"' },
});

const names = {};
for (const file of result.outputFiles) {
  names[basename(file.path)] = write(basename(file.path), file.contents);
}
names['icon.svg'] = write('icon.svg', readFileSync(join(here, 'src', 'icon.svg')));

for (const page of ['index.html', 'docs.html']) {
  const html = readFileSync(join(here, 'src', page), 'utf8').replace(/%(\S+?)%/g, (_, name) => `/assets/${must(names[name], name)}`);
  writeFileSync(join(out, page), html);
}
writeFileSync(join(out, 'LICENSES.txt'), bundled.map(licence).join('\n\n'));
writeFileSync(join(out, 'manifest.json'), JSON.stringify({ source: sourceDigest(here), assets: Object.values(names).sort() }, null, 2) + '\n');
if (out === shipped) copyFileSync(join(here, 'node_modules', 'axe-core', 'axe.min.js'), join(here, '..', '..', 'tests', 'vendor', 'axe.min.js'));
report();

function write(name, contents) {
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 10);
  const extension = extname(name);
  const hashed = `${basename(name, extension)}-${hash}${extension}`;
  writeFileSync(join(assets, hashed), contents);
  return hashed;
}

function licence(name) {
  const folder = join(here, 'node_modules', name);
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = must(readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry)), `the licence of ${name}`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}

function must(value, what) {
  if (value === undefined) throw new Error(`${what} is missing`);
  return value;
}

function report() {
  for (const name of Object.values(names).sort()) {
    const contents = readFileSync(join(assets, name));
    console.log(`${name.padEnd(26)} ${String(contents.length).padStart(7)} bytes, ${String(gzipSync(contents).length).padStart(6)} gzip`);
  }
}
