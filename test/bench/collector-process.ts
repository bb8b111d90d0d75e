// The whole collector in a process of its own, as a user runs it, seen from outside: its books over HTTP, the processor time of its threads
// and its memory from /proc.

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Accounting } from '../../collector/accounting.ts';
import { freePorts, until } from '../support/processes.ts';

/** Asked of the kernel by every receiver that is compared. */
export const BUFFER_BYTES = 8 * 1024 * 1024;

const CLI = join(import.meta.dirname, '../../collector/cli.ts');
const SUPPORT = join(import.meta.dirname, '../support');

export interface CollectorProcess {
  port: number;
  base: string;
  pid: number;
  accounting(): Promise<Accounting>;
  /** Processor time of the ingest threads, or of the whole process, ns. */
  ingestCpuNs(): number;
  processCpuNs(): number;
  rssMib(): number;
  /** Resolves when all that the kernel holds has been taken and observed: the books have not moved for a while. */
  settled(): Promise<Accounting>;
  stop(): Promise<void>;
}

/** Starts it with these settings over the bench's own, and with files of test/support that are loaded before it. */
export async function startCollectorProcess(
  settings: Record<string, object> = {},
  preloaded: readonly string[] = [],
): Promise<CollectorProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'hopscope-bench-'));
  const [httpPort] = await freePorts(1);
  const config = {
    ...settings,
    ingest: { address: '127.0.0.1', port: 0, receiveBufferBytes: BUFFER_BYTES, ...settings.ingest },
    http: { port: httpPort, ...settings.http },
    store: { path: join(folder, 'hopscope.db') },
  };
  writeFileSync(join(folder, 'hopscope.yaml'), stringify(config));
  const flags = preloaded.flatMap((file) => ['--import', join(SUPPORT, file)]);
  const child = spawn(process.execPath, [...flags, CLI, 'start', '--config', join(folder, 'hopscope.yaml')], {
    stdio: ['ignore', 'pipe', preloaded.length > 0 ? 'ignore' : 'inherit'],
    env: { ...process.env, HOPSCOPE_BENCH_SECRET: 'a-secret-for-the-benchmark-alone' },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const base = `http://127.0.0.1:${httpPort}`;
  const port = await until('the collector', async () => {
    const match = /on UDP [\d.]+ port (\d+)/.exec(output);
    return match !== null && (await fetch(`${base}/readyz`)).ok && Number(match[1]);
  });
  const pid = child.pid!;
  const accounting = async (): Promise<Accounting> => (await (await fetch(`${base}/api/v1/accounting`)).json()) as Accounting;
  return {
    port,
    base,
    pid,
    accounting,
    ingestCpuNs: () => threadCpuNs(pid, (name) => name.startsWith('hopscope-ingest')),
    processCpuNs: () => threadCpuNs(pid, () => true),
    rssMib: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024,
    settled: async () => {
      let last = await accounting();
      return until('the books to stand still', async () => {
        const now = await accounting();
        const isStill = now.datagrams.received === last.datagrams.received;
        last = now;
        return isStill && now;
      });
    },
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function threadCpuNs(pid: number, matches: (name: string) => boolean): number {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${task}`;
    if (matches(readFileSync(`${folder}/comm`, 'latin1')))
      sum += Number(readFileSync(`${folder}/schedstat`, 'latin1').split(' ')[0]);
  }
  return sum;
}
