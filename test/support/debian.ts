// Debian's packages, unpacked into a folder of the repository without root and without installing anything.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'hopscope', 'debian');

/** Root of the unpacked packages, downloaded once and kept; undefined where Debian's tools or archive are not to be had. */
export function unpacked(packages: readonly string[]): string | undefined {
  const root = join(CACHE, packages[0]);
  if (existsSync(root)) return root;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'work-'));
  const apt = (args: string[]): void => {
    execFileSync('apt-get', ['-q', '-o', 'APT::Sandbox::User=', ...args], { cwd: work, stdio: 'pipe', timeout: 300_000 });
  };
  try {
    try {
      apt(['download', ...packages]);
    } catch {
      // The machine's package lists are missing or old: fetch lists of our own, which needs no root.
      const own = join(work, 'apt');
      mkdirSync(join(own, 'lists', 'partial'), { recursive: true });
      mkdirSync(join(own, 'cache', 'archives', 'partial'), { recursive: true });
      const where = ['-o', `Dir::State::lists=${own}/lists`, '-o', `Dir::Cache=${own}/cache`];
      apt([...where, 'update']);
      apt([...where, 'download', ...packages]);
    }
    const target = join(work, 'root');
    for (const name of readdirSync(work).filter((entry) => entry.endsWith('.deb'))) {
      execFileSync('dpkg', ['-x', join(work, name), target], { stdio: 'pipe' });
    }
    renameSync(target, root);
    return root;
  } catch {
    // Another test file may have been first.
    return existsSync(root) ? root : undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Environment in which programs of an unpacked root find their own libraries. */
export function environmentOf(root: string): NodeJS.ProcessEnv {
  const libraries = ['usr/lib', 'lib']
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((entry) => join(folder, entry)))
    .filter((folder) => folder.endsWith('-linux-gnu'));
  return { ...process.env, LD_LIBRARY_PATH: libraries.join(':') };
}
