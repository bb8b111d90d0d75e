// Compiles the programs into ../programs: `node p4-int/p4src/compile.ts [DIRECTORY]`, with p4c-bm2-ss on the path. What it writes is
// what the compiler wrote, and a manifest that says which sources, compiler and command made it.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = import.meta.dirname;
const out = process.argv[2] ?? join(SOURCES, '..', 'programs');

const VARIANTS = { postcards: [], 'postcards-v0.5': ['-DREPORT_V05'], embedded: ['-DEMBEDDED'] };

/** SHA-256 over the names and contents of all sources, in the order of their names. */
function digestOfSources(): string {
  const digest = createHash('sha256');
  for (const name of readdirSync(SOURCES).sort()) {
    if (name.endsWith('.p4'))
      digest
        .update(`${name}\0`)
        .update(readFileSync(join(SOURCES, name)))
        .update('\0');
  }
  return digest.digest('hex');
}

mkdirSync(out, { recursive: true });
// It tells its version on the error stream.
const { stdout, stderr } = spawnSync('p4c-bm2-ss', ['--version'], { encoding: 'utf8' });
const programs = Object.entries(VARIANTS).map(([name, defines]) => {
  const command = [
    'p4c-bm2-ss',
    '--std',
    'p4-16',
    ...defines,
    '-o',
    `${name}.json`,
    '--p4runtime-files',
    `${name}.p4info.json`,
    'leaf-spine.p4',
  ];
  const [program, ...args] = command.map((word) => (/\.json$/.test(word) ? join(out, word) : word));
  execFileSync(program, args, { cwd: SOURCES, stdio: 'inherit' });
  return [name, { command: command.join(' ') }] as const;
});
const manifest = {
  sourcesSha256: digestOfSources(),
  compiler: `${stdout}${stderr}`.replace(/^[^]*Version (\S+) \(SHA: (\w+)[^]*$/, 'p4c-bm2-ss $1, commit $2'),
  programs: Object.fromEntries(programs),
};
writeFileSync(join(out, 'manifest.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
