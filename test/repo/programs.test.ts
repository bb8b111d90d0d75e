// What is compiled and generated against its sources: by digest everywhere, and byte by byte where the compiler is.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROGRAM_NAMES, shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { environmentOf, unpacked } from '../support/debian.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const [SOURCES, PROGRAMS] = ['p4src', 'programs'].map((name) => join(ROOT, 'p4-int', name));

function compilerMissing(): string | undefined {
  try {
    execFileSync('p4c-bm2-ss', ['--version'], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'p4c-bm2-ss is not on the path';
  }
}

/** Names and contents of all files under a folder. */
function contentsOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    names.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(folder.length + 1), readFileSync(path, 'utf8')];
    }),
  );
}

function generatedBy(script: string, env: NodeJS.ProcessEnv): Record<string, string> {
  const out = mkdtempSync(join(tmpdir(), 'generated-'));
  try {
    execFileSync(process.execPath, [join(ROOT, script), out], { stdio: 'pipe', env });
    return contentsOf(out);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

describe('compiled programs', () => {
  it('are of the sources that lie here', () => {
    const digest = createHash('sha256');
    for (const name of readdirSync(SOURCES).sort()) {
      if (name.endsWith('.p4'))
        digest
          .update(`${name}\0`)
          .update(readFileSync(join(SOURCES, name)))
          .update('\0');
    }
    const manifest = JSON.parse(readFileSync(join(PROGRAMS, 'manifest.json'), 'utf8'));
    expect(manifest.sourcesSha256, 'run node p4-int/p4src/compile.ts').toBe(digest.digest('hex'));
    expect(Object.keys(manifest.programs)).toEqual([...PROGRAM_NAMES]);
    expect(manifest.compiler).toMatch(/^p4c-bm2-ss \d+\.\d+.*, commit \w+$/);
  });

  it.each(PROGRAM_NAMES)('%s has the tables that switches and remediation need, and a cookie of its own', (name) => {
    const { program, cookie } = shippedProgram(name);
    const needed = [
      'watchlist',
      'acl',
      'route',
      'dscp_remark',
      'queue_override',
      'rate_limit',
      'ecmp_override',
      'report_session',
    ];
    expect(program.tableNames).toEqual(expect.arrayContaining(needed));
    expect(PROGRAM_NAMES.filter((other) => shippedProgram(other).cookie === cookie)).toEqual([name]);
  });

  const missing = compilerMissing();
  it.skipIf(missing !== undefined)(
    `are what the compiler makes of them${missing === undefined ? '' : ` (${missing})`}`,
    { timeout: 120_000 },
    () => {
      expect(generatedBy('p4-int/p4src/compile.ts', process.env)).toEqual(contentsOf(PROGRAMS));
    },
  );
});

describe('generated types', () => {
  const root = unpacked(['protobuf-compiler', 'libprotobuf-dev', 'libprotoc32', 'libprotobuf32', 'zlib1g']);
  const isNeeded = process.env.CI === 'true';
  it.skipIf(root === undefined && !isNeeded)('are what protoc makes of our protocol files', { timeout: 60_000 }, () => {
    if (root === undefined) throw new Error("protoc cannot be unpacked from Debian's packages");
    const env = environmentOf(root);
    const generated = generatedBy('p4-int/runtime/generate.ts', { ...env, PATH: `${join(root, 'usr/bin')}:${process.env.PATH}` });
    expect(generated).toEqual(contentsOf(join(ROOT, 'p4-int', 'runtime', 'generated')));
  });
});
