// The books balance, whatever the network and the kernel do to the datagrams: a seeded chaos proxy, and a receive buffer that is too small.

import { createSocket } from 'node:dgram';
import { afterEach, expect, it } from 'vitest';
import type { Accounting } from '../../collector/accounting.ts';
import { startChaos } from '../support/chaos.ts';
import { startTestCollector, type TestCollector } from '../support/collector.ts';
import { Postcards } from '../support/postcards.ts';
import { getJson, until } from '../support/processes.ts';
import { sender } from '../support/segment-sender.ts';

let collector: TestCollector;
afterEach(() => collector.stop());

const books = async (): Promise<Accounting> => (await getJson(`${collector.base}/api/v1/accounting`)) as Accounting;
const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((total, n) => total + n, 0);

it('under loss, duplication, reordering and corruption on the way', { timeout: 60_000 }, async () => {
  collector = await startTestCollector();
  const chaos = await startChaos(collector.udpPort, 11, { loss: 0.02, duplication: 0.01, reordering: 0.02, corruption: 0.01 });
  const socket = createSocket('udp4');
  const card = new Postcards(3);
  const SENT = 20_000;
  for (let i = 0; i < SENT; i++) {
    card.head(1 + (i % 4), i >>> 2);
    for (let report = 0; report < 3; report++) card.report(report, i % 500, report, i * 1000);
    await new Promise<void>((resolve) => socket.send(Buffer.from(card.bytes), chaos.port, '127.0.0.1', () => resolve()));
    // Paced by the proxy: what is to be lost, it loses.
    while (chaos.counts.in <= i - 64) await new Promise((resolve) => setImmediate(resolve));
  }
  await until('all at the proxy', () => chaos.counts.in === SENT);
  await chaos.flush();
  const { datagrams, reports, sources } = await until('all at the collector', async () => {
    const now = await books();
    return now.datagrams.received + now.datagrams.kernelDropped >= chaos.counts.out && now;
  });
  socket.close();
  chaos.close();

  const { counts } = chaos;
  for (const part of [counts.lost, counts.duplicated, counts.reordered, counts.corrupted]) expect(part).toBeGreaterThan(100);
  // sent + duplicated = received + kernel drops + lost before us
  expect(SENT + counts.duplicated).toBe(datagrams.received + datagrams.kernelDropped + counts.lost);
  expect(datagrams.unaccounted).toBe(0);
  expect(datagrams.received).toBe(datagrams.decoded + sum(datagrams.rejected) + sum(datagrams.dropped));
  expect(reports.unaccounted).toBe(0);
  expect(reports.framed).toBe(reports.decoded + sum(reports.refused));
  // Some corruption hits a length or the version, some an inner packet that nobody checks.
  expect(sum(datagrams.rejected)).toBeGreaterThan(0);
  expect(sum(datagrams.rejected)).toBeLessThanOrEqual(counts.corrupted + counts.duplicated);
  expect(sources).toHaveLength(1);
  expect(sources[0]).toMatchObject({ address: '127.0.0.1', received: datagrams.received, decoded: datagrams.decoded });
});

it('when the kernel drops because the buffer is too small', { timeout: 60_000 }, async () => {
  collector = await startTestCollector({ ingest: { address: '127.0.0.1', port: 0, receiveBufferBytes: 4096 } });
  const send = sender(collector.udpPort);
  let sent = 0;
  const card = new Postcards(1);
  const sendNext = (): void => {
    card.head(1, sent++);
    card.report(0, 1, 3, sent * 1000);
    send(card.bytes);
  };
  await until('kernel drops', async () => {
    for (let burst = 0; burst < 2000; burst++) sendNext();
    return (await books()).datagrams.kernelDropped > 1000;
  });
  // The last of them have room, so that the sequence shows what is missing before them.
  for (let i = 0; i < 100; i++) {
    sendNext();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { datagrams } = await until('the books to balance', async () => {
    const now = await books();
    return now.datagrams.received + now.datagrams.kernelDropped === sent && now;
  });
  expect(datagrams.unaccounted).toBe(0);
  expect(datagrams.decoded).toBe(datagrams.received);
  // What the sequence misses is what the kernel dropped: nothing was lost before us.
  expect(datagrams.lostBeforeUs).toBe(0);
  const [{ state }] = collector.lanes;
  expect(state.sources.lost(state.sources.keys.usedRows()[0])).toBe(datagrams.kernelDropped);
  const metrics = await (await fetch(`${collector.base}/metrics`)).text();
  expect(metrics).toContain(`hopscope_kernel_dropped_datagrams_total ${datagrams.kernelDropped}\n`);
  expect(collector.said.some((line) => /holds \d+ ms at ingest.expectedRate/.test(line))).toBe(true);
});
