// The digest of everything that the build depends on. tests/dashboard_sources.py computes the same without Node.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

const roots = ['build.mjs', 'digest.mjs', 'package-lock.json', 'package.json', 'src', 'tsconfig.json'];

export function sourceDigest(folder) {
  const files = roots.flatMap((root) => filesOf(join(folder, root))).map((path) => relative(folder, path).split(sep).join('/'));
  const hash = createHash('sha256');
  for (const path of files.sort()) {
    hash.update(`${path}\0${createHash('sha256').update(readFileSync(join(folder, path))).digest('hex')}\n`);
  }
  return hash.digest('hex');
}

function filesOf(path) {
  return statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => filesOf(join(path, name))) : [path];
}
