// A hot thread that dies comes back on the same port; until then the collector is not ready, and it is counted.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { IngestSupervisor } from '../../collector/ingest-supervisor.ts';
import { parseConfig } from '../../collector/config.ts';
import type { SharedMemory } from '../../collector/shared-state.ts';
import { until } from '../support/processes.ts';

/** A thread that listens at once, says on which port it was told to, and dies after 200 ms, three times in all. */
function mortalThread(): string {
  const path = join(mkdtempSync(join(tmpdir(), 'hopscope-thread-')), 'thread.mjs');
  writeFileSync(
    path,
    `import { parentPort, workerData } from 'node:worker_threads';
     const life = new Int32Array(workerData.memory.buffer);
     parentPort.postMessage({ type: 'listening', port: workerData.ingest.port, receiveBufferBytes: 1 });
     if (Atomics.add(life, 0, 1) < 3) setTimeout(() => { throw new Error('a bug'); }, 200);
     setInterval(() => { if (Atomics.load(workerData.stop, 0) !== 0) process.exit(0); }, 10);`,
  );
  return path;
}

it('is started again, counted, and said', { timeout: 20_000 }, async () => {
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const { ingest } = parseConfig('ingest: { address: 127.0.0.1, port: 0 }');
  const memories = [{ buffer: new SharedArrayBuffer(8) } as unknown as SharedMemory];
  const supervisor = await IngestSupervisor.start(
    { memories, ingest, epochUnixMs: 0 },
    { notice: say, error: say },
    mortalThread(),
  );
  expect([supervisor.isUp, supervisor.restarts]).toEqual([true, 0]);
  const { port } = supervisor;
  await until('its death', () => !supervisor.isUp);
  await until('three new starts', () => supervisor.restarts === 3 && supervisor.isUp);
  expect(said[0]).toBe(
    'the ingest thread ended (a bug): reports wait, and are lost when the buffer is full, until it listens again',
  );
  expect(said[1]).toBe(`the ingest thread listens again on port ${port}`);
  await supervisor.stop();
  expect(supervisor.isUp).toBe(false);
  expect(supervisor.restarts).toBe(3);
});
