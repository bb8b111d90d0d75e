// A part of a benchmark in a process of its own: V8 specialises the packet path for the one instance that a process makes.

import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** Runs `file` of this folder with `args`; resolves with the value that it printed as its last line of JSON. */
export function runChild<T>(file: string, args: readonly (string | number)[], nodeFlags: readonly string[] = []): Promise<T> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeFlags, join(import.meta.dirname, file), ...args.map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.once('error', reject);
    child.once('exit', (code) => {
      const last = out.trim().split('\n').at(-1) ?? '';
      if (code === 0) resolve(JSON.parse(last) as T);
      else reject(new Error(`${file} ${args.join(' ')} ended with ${code}: ${last}`));
    });
  });
}
