// The gates of the repository bite: a forbidden import fails the check, and the repository speaks of the product alone.

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
/** The command of `npm run check` that guards import boundaries. */
const [, ...cruise] = /depcruise .*?(?= && )/.exec(readFileSync(join(root, 'package.json'), 'utf8'))![0].split(' ');

describe('a forbidden import fails the check of import boundaries', () => {
  // A copy of the tree: other tests read the real one meanwhile.
  const copy = mkdtempSync(join(tmpdir(), 'hopscope-gates-'));
  for (const part of [
    'collector',
    'alerts',
    'dashboards',
    'p4-int',
    'test',
    '.dependency-cruiser.js',
    'tsconfig.json',
    'package.json',
  ]) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  afterAll(() => rmSync(copy, { recursive: true, force: true }));
  const check = () => spawnSync(join(root, 'node_modules/.bin/depcruise'), cruise, { cwd: copy, encoding: 'utf8' });

  it('and none passes it', { timeout: 60_000 }, () => expect(check()).toMatchObject({ status: 0 }));

  it.each([
    ['decode', 'collector/decode', "import '../observe/queue.ts';"],
    ['decode-is-pure', 'collector/decode', "import 'node:fs';"],
    ['observe', 'collector/observe', "import './flow.ts';"],
    ['expose', 'collector/expose', "import './http.ts';"],
    ['fabric', 'p4-int/wire', "import '../../collector/decode/bytes.ts';"],
    ['wiring-is-the-top', 'collector/identify', "import '../main.ts';"],
  ])('%s', { timeout: 60_000 }, (rule, folder, line) => {
    const path = join(copy, folder, 'planted.ts');
    writeFileSync(path, `${line}\n`);
    const { status, stdout } = check();
    rmSync(path);
    expect(status).not.toBe(0);
    expect(stdout).toContain(`error ${rule}:`);
    expect(stdout).toContain('planted.ts');
  });
});

it('no file names a path of a machine, a registry, or a folder outside the repository', () => {
  const files = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
  const texts = files.filter((file) => !/\.(pcap|png)$/.test(file));
  const strange = /(?<![\w.])\/(?:home|work|root|farm)\/\w|(?:\.\.\/){2,}shared|"resolved": "https?:/;
  const found = texts.filter((file) => strange.test(readFileSync(join(root, file), 'utf8')));
  expect(found.filter((file) => file !== 'test/repo/gates.test.ts')).toEqual([]);
});
