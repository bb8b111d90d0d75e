// The tarball that users install: packed, installed in an empty folder outside the clone, and run.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { getJson, start, until } from '../support/processes.ts';

const root = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'hopscope-package-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** npm, told nothing by the npm that runs the tests. */
function npm(args: string[], cwd: string): string {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')));
  return execFileSync('npm', args, { cwd, encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] });
}

it('npm pack, install elsewhere, hopscope demo shows an incident', { timeout: 240_000 }, async () => {
  npm(['pack', '--pack-destination', folder], root);
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const app = mkdtempSync(join(folder, 'app-'));
  writeFileSync(join(app, 'package.json'), '{ "private": true }');
  npm(['install', '--omit=dev', '--no-audit', '--no-fund', '--prefer-offline', join(folder, tarball)], app);
  const bin = join(app, 'node_modules', '.bin', 'hopscope');
  expect(existsSync(bin)).toBe(true);
  expect(existsSync(join(app, 'node_modules', 'hopscope', 'test'))).toBe(false);

  const demo = start(process.execPath, [bin, 'demo', '--http-port', '0'], { cwd: app });
  try {
    const output = await until('an incident', () => demo.output().includes('INCIDENT') && demo.output(), 60_000);
    expect(output).toContain('caused by analytics/backup');
    const [base] = /http:\/\/127\.0\.0\.1:\d+/.exec(output)!;
    expect((await getJson(`${base}/api/v1/incidents`)).incidents[0].queue.node).toBe('leaf-2');
  } finally {
    const stoppedAt = Date.now();
    expect(await demo.stop('SIGINT')).toBe(0);
    expect(Date.now() - stoppedAt).toBeLessThan(5000);
  }
  expect(demo.output()).toContain('stopped.');
});
