// A capture replayed gives the same state and the same incidents as the same bytes sent live over UDP.

import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../collector/config.ts';
import type { Incident } from '../../collector/event.ts';
import { replayCapture, type Replayed } from '../../collector/replay.ts';
import type { SharedState } from '../../collector/shared-state.ts';
import { LATENCY_BOUNDS_NS } from '../../collector/memory/histogram.ts';
import { scenarioSettings } from '../../collector/scenario-settings.ts';
import { startTestCollector, type TestCollector } from '../support/collector.ts';
import { fabricDatagrams, pcapOf } from '../support/fabric-datagrams.ts';
import { until } from '../support/processes.ts';
import { noisyBackup } from '../support/stories.ts';

const story = noisyBackup(0.5e9, 1e9);
const datagrams = fabricDatagrams(story.scenario, 3, 2.2e9);
const folder = mkdtempSync(join(tmpdir(), 'hopscope-replay-'));
const path = join(folder, 'fabric.pcap');
let collector: TestCollector;
let replayed: Replayed;

beforeAll(async () => {
  writeFileSync(path, pcapOf(datagrams));
  replayed = replayCapture(path, { config: parseConfig(stringify(scenarioSettings(story.scenario))) });
  collector = await startTestCollector(scenarioSettings(story.scenario));
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()));
  const startedMs = performance.now();
  for (const { atNs, bytes } of datagrams) {
    const waitMs = atNs / 1e6 - (performance.now() - startedMs);
    if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
    await new Promise<void>((resolve) => socket.send(bytes, collector.udpPort, '127.0.0.1', () => resolve()));
  }
  socket.close();
  await until('the last datagram', () => collector.lanes[0].state.counters.read().of('datagramsReceived') >= datagrams.length);
  await until('the last event', () => collector.incidents.list()[0]?.eventCount === 2);
  await new Promise((resolve) => setTimeout(resolve, 100));
});
afterAll(async () => {
  await collector.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** An incident without wall-clock times, and what is measured over them: those come from the arrival of reports, which no two runs share. */
function timeless({ story: _story, ...incident }: Incident): object {
  const drop = new Set([
    'openedAt',
    'updatedAt',
    'closedAt',
    'buildUpStart',
    'start',
    'peakAt',
    'lastSeen',
    'end',
    'alerts',
    'excessShare',
  ]);
  return JSON.parse(JSON.stringify(incident, (key, value: unknown) => (drop.has(key) ? undefined : value))) as object;
}

function countsOf({ counters, queues, flows, nodes, sources }: SharedState): object {
  const rows = queues.keys.usedRows();
  const table = (keys: { totals: Float64Array }): number[] => [...keys.totals];
  return {
    reports: counters.read().of('reportsDecoded'),
    hops: counters.read().of('hopsDecoded'),
    duplicates: counters.read().of('duplicates'),
    tables: [queues.keys, flows.keys, nodes.keys].map(table),
    congestedNs: rows.map((row) => queues.congestedNs(row)).filter((ns) => ns > 0),
    latencies: rows.map((row) => LATENCY_BOUNDS_NS.map((_, bucket) => queues.latencyCount(row, bucket))),
    missing: sources.keys.usedRows().map((row) => sources.expected(row) - sources.received(row)),
  };
}

it('finds the same incidents, with the same ids, events, culprits, victims and confidence', () => {
  const live = collector.incidents.list().map(timeless);
  expect(live).toHaveLength(1);
  expect(replayed.diagnosis.incidents.list().map(timeless)).toEqual(live);
  expect(replayed.diagnosis.incidents.list()[0].events).toHaveLength(2);
});

it('leaves the same counts in every table', () => {
  expect(replayed.fault).toBeUndefined();
  expect(countsOf(replayed.state)).toEqual(countsOf(collector.lanes[0].state));
});

it('places the congestion where the capture has it', () => {
  const [incident] = replayed.diagnosis.incidents.list();
  const first = incident.events[0];
  expect(first.start >= '2026-11-24T10:00:00.5' && first.start < '2026-11-24T10:00:00.51').toBe(true);
  expect(`${incident.culprits[0].namespace}/${incident.culprits[0].workload}`).toBe(story.truth.culprit);
});

it('twice gives the same to the last digit, times included', () => {
  const again = replayCapture(path, { config: parseConfig(stringify(scenarioSettings(story.scenario))) });
  expect(again.diagnosis.incidents.list()).toEqual(replayed.diagnosis.incidents.list());
});

it('closes an incident when the capture goes on for long enough without congestion', () => {
  const later = datagrams.slice(-1).map((datagram) => ({ ...datagram, atNs: 120e9 }));
  const longer = join(folder, 'longer.pcap');
  writeFileSync(longer, pcapOf([...datagrams, ...later]));
  const changes: string[] = [];
  const config = parseConfig(stringify(scenarioSettings(story.scenario)));
  replayCapture(longer, { config, onIncident: (_incident, change) => changes.push(change) });
  expect(changes.at(-1)).toBe('closed');
});
