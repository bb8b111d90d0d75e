// A hot thread that dies comes back on the same port; until then the collector is not ready, and it is counted.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { IngestSupervisor } from '../../collector/ingest-supervisor.ts';
import { parseConfig } from '../../collector/config.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf, type SharedMemory } from '../../collector/shared-state.ts';
import { Postcards } from '../support/postcards.ts';
import { until } from '../support/processes.ts';
import { sender } from '../support/segment-sender.ts';

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

it(
  'a real thread that dies finds its socket and its tables again: what came meanwhile is not lost, nor late',
  { timeout: 30_000 },
  async () => {
    // In its first life the clock of the thread breaks after a while.
    const folder = mkdtempSync(join(tmpdir(), 'hopscope-thread-'));
    const path = join(folder, 'thread.mjs');
    const thread = join(import.meta.dirname, '../../collector/ingest-thread.ts');
    writeFileSync(
      path,
      `import { existsSync, writeFileSync } from 'node:fs';
     const marker = ${JSON.stringify(join(folder, 'marker'))};
     if (!existsSync(marker)) {
       writeFileSync(marker, '');
       const { now } = Date;
       let asked = 0;
       Date.now = () => {
         if (++asked > 100) throw new Error('a bug');
         return now();
       };
     }
     await import(${JSON.stringify(thread)});`,
    );
    const config = parseConfig('ingest: { address: 127.0.0.1, port: 0 }');
    const state = SharedState.allocate(capacityOf(config), observeSettingsOf(config), HashSecret.random());
    const said: string[] = [];
    const say = (message: string): void => void said.push(message);
    const parts = { memories: [state.memory], ingest: config.ingest, epochUnixMs: Date.now() };
    const supervisor = await IngestSupervisor.start(parts, { notice: say, error: say }, path);
    const send = sender(supervisor.port);
    const card = new Postcards(1);
    const SENT = 2000;
    for (let sequence = 0; sequence < SENT; sequence++) {
      card.head(1, sequence);
      card.report(0, sequence % 10, 3, sequence * 500_000);
      send(card.bytes);
      await new Promise((resolve) => setTimeout(resolve, 0.5));
    }
    await until('another life', () => supervisor.restarts === 1 && supervisor.isUp);
    const counts = await until('what waited', () => {
      const now = state.counters.read();
      return now.of('datagramsReceived') >= SENT - 64 && now;
    });
    expect(supervisor.kernelDrops()).toBe(0);
    await supervisor.stop();
    expect(said[0]).toContain('the ingest thread ended (a bug)');
    // What its last system call had brought went with it, and nothing else.
    expect(counts.of('datagramsDecoded')).toBe(counts.of('datagramsReceived'));
    expect(counts.of('datagramsReceived')).toBeLessThan(SENT);
    expect([...counts.datagramsDropped]).toEqual([0, 0, 0, 0]);
    const { sources } = state;
    const [row] = sources.keys.usedRows();
    expect(sources.keys.usedRows()).toHaveLength(1);
    expect([sources.restarts(row), sources.lost(row)]).toEqual([0, SENT - counts.of('datagramsReceived')]);
  },
);
