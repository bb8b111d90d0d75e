// The packet path as one part: what it counts, what it lets through, and that a batch may be cut anywhere without a difference.

import { beforeEach, expect, it } from 'vitest';
import { Admission } from '../../collector/admission.ts';
import { parseConfig } from '../../collector/config.ts';
import { viewOf } from '../../collector/decode/bytes.ts';
import type { CounterSnapshot } from '../../collector/memory/counters.ts';
import { DropPlace } from '../../collector/memory/counters.ts';
import { pipelineOver, type Pipeline } from '../../collector/pipeline.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf } from '../../collector/shared-state.ts';
import { Postcards } from '../support/postcards.ts';

const PORT = 32_766;
const address = (last: number): Uint32Array => Uint32Array.of(0, 0, 0xffff, 0x0a000000 + last);

let state: SharedState;
let pipeline: Pipeline;
const build = (): void => {
  const config = parseConfig('');
  state = SharedState.allocate(capacityOf(config), observeSettingsOf(config), HashSecret.fixed());
  pipeline = pipelineOver(state, new Admission(state.exporters, config.ingest));
  pipeline.arrive(1e9);
};
beforeEach(build);

const receive = (bytes: Uint8Array, from = 1, waitedMs = 0): void =>
  pipeline.receive(viewOf(bytes), 0, bytes.length, address(from), PORT, waitedMs);
const counts = (): CounterSnapshot => state.counters.read();

/** One datagram of `reports` postcards of different flows. */
function card(nodeId: number, sequence: number, reports = 1): Postcards {
  const cards = new Postcards(reports);
  cards.head(nodeId, sequence);
  for (let report = 0; report < reports; report++) cards.report(report, sequence * reports + report, report & 3, sequence * 1000);
  return cards;
}

it('what waited for more than 200 ms is late: counted, and not decoded', () => {
  receive(card(1, 0).bytes, 1, 200);
  receive(card(1, 1).bytes, 1, 201);
  pipeline.settle();
  expect(counts().of('datagramsReceived')).toBe(2);
  expect(counts().of('datagramsDecoded')).toBe(1);
  expect(counts().datagramsDropped[DropPlace.late]).toBe(1);
  expect(counts().of('reportsDecoded')).toBe(1);
});

it('counts become visible together, when a batch is settled', () => {
  receive(card(1, 0, 3).bytes);
  expect(counts().of('datagramsReceived')).toBe(0);
  pipeline.settle();
  expect([counts().of('datagramsReceived'), counts().of('datagramsDecoded'), counts().of('reportsDecoded')]).toEqual([1, 1, 3]);
});

it('one node id from two addresses is two counters: neither is a gap of the other', () => {
  for (let sequence = 0; sequence < 300; sequence++) {
    receive(card(9, sequence).bytes, 1);
    receive(card(9, sequence + 5000).bytes, 2);
  }
  pipeline.settle();
  const { sources } = state;
  expect(sources.keys.usedRows().map((row) => [sources.received(row), sources.lost(row), sources.restarts(row)])).toEqual([
    [300, 0, 0],
    [300, 0, 0],
  ]);
  expect(counts().of('duplicates')).toBe(0);
});

it('the same datagrams, settled one by one or all at once, leave the same tables', () => {
  const tables = [1, 1000].map((every) => {
    build();
    for (let sequence = 0; sequence < 500; sequence++) {
      receive(card(1 + (sequence % 5), Math.floor(sequence / 5), 1 + (sequence % 7)).bytes, 1 + (sequence % 3));
      if (sequence % every === 0) pipeline.settle();
    }
    pipeline.settle();
    const { queues, flows, nodes } = state;
    return {
      counts: [...counts().values],
      totals: [queues, flows, nodes].map(({ keys }) => [...keys.totals]),
      queues: queues.keys.usedRows().map((row) => [queues.reports(row), queues.latencySumNs(row), queues.lastWaitSeenNs(row)]),
      flows: flows.keys.usedRows().map((row) => flows.reports(row)),
    };
  });
  expect(tables[1]).toEqual(tables[0]);
});

it('the largest datagrams go through behind a batch that is almost full', () => {
  const most = card(1, 0, 680);
  expect(most.bytes.length).toBeGreaterThan(65_000);
  for (let i = 0; i < 63; i++) receive(card(2, i).bytes);
  receive(most.bytes);
  // Reports of four octets each: as many as a datagram can frame.
  const tiny = Buffer.alloc(65_504);
  tiny.writeUInt32BE(((2 << 28) | 7) >>> 0, 0);
  tiny.writeUInt32BE(3, 4);
  for (let i = 0; i < 63; i++) receive(card(2, 63 + i).bytes);
  receive(tiny);
  pipeline.settle();
  expect(counts().of('reportsFramed')).toBe(126 + 680 + (tiny.length - 8) / 4);
  expect(counts().of('datagramsDecoded')).toBe(128);
  expect(counts().datagramsDropped[DropPlace.internalError]).toBe(0);
});

it('a report about a packet to our own report port is telemetry of telemetry', () => {
  const cards = card(1, 0);
  // The packet inside becomes UDP to the report port.
  const ip = 8 + 12 + 28 + 14;
  cards.bytes[ip + 9] = 17;
  cards.bytes.writeUInt16BE(PORT, ip + 22);
  receive(cards.bytes);
  receive(card(1, 1).bytes);
  pipeline.settle();
  expect(counts().of('telemetryOfTelemetry')).toBe(1);
});

it('a second pipeline over the same memory goes on from the counts of the first', () => {
  receive(card(1, 0).bytes);
  pipeline.settle();
  const next = pipelineOver(new SharedState(state.memory), new Admission(state.exporters, parseConfig('').ingest));
  next.arrive(2e9);
  const { bytes } = card(1, 1);
  next.receive(viewOf(bytes), 0, bytes.length, address(1), PORT, 0);
  next.settle();
  expect(counts().of('datagramsReceived')).toBe(2);
  expect(state.sources.lost(1)).toBe(0);
});
