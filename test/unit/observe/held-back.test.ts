// What a change filter kept back: packets at the level of the last one that it let through, octets of flows and of the interfaces on their way.

import { beforeEach, expect, it } from 'vitest';
import { FlowPart } from '../../../collector/flow-key.ts';
import { HopBatch, Present, ReportFlag } from '../../../collector/hop.ts';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { HeldBackTable, heldBackStage } from '../../../collector/observe/held-back.ts';

interface Seen {
  node?: number;
  flow?: number;
  generation?: number;
  latencyNs?: number;
  /** How much of the time since the packet before the queue stood still; all of it by default. */
  steadyNs?: number;
  /** How much of it the queue was deep and moving. */
  deepNs?: number;
  isOfQueue?: boolean;
  isFiltered?: boolean;
  sequence?: number;
  acknowledgment?: number;
  bytes?: number;
}

const FLOWS = 8;
const batch = new HopBatch(4, 4);
let atNs: number;
let clocks: Map<number, { atNs: number; steadyNs: number; deepNs: number }>;
let packets: [latencyNs: number, packets: number][];
let portBytes: Map<number, number>;
let flowBytes: Map<number, number>;
let observe: () => void;

beforeEach(() => {
  const build = (arena: Arena): HeldBackTable => new HeldBackTable(arena, FLOWS);
  const add = (sums: Map<number, number>, row: number, bytes: number): void => void sums.set(row, (sums.get(row) ?? 0) + bytes);
  atNs = 1e9;
  clocks = new Map();
  packets = [];
  portBytes = new Map();
  flowBytes = new Map();
  observe = heldBackStage(build(new Arena(new SharedArrayBuffer(measure((arena) => void build(arena))))), batch, {
    bytesPerNs: () => 1.25,
    addPackets: (_row, latencyNs, count) => packets.push([latencyNs, count]),
    addPortBytes: (row, bytes) => add(portBytes, row, bytes),
    addFlowBytes: (row, bytes) => add(flowBytes, row, bytes),
    isFirst: (_row, nodeTag) => nodeTag === 1,
  });
});

/** A report `laterNs` after the one before. */
function see(laterNs: number, seen: Seen = {}): void {
  const { reports: r, datagrams: d } = batch;
  const { node = 1 } = seen;
  atNs += laterNs;
  const clock = clocks.get(node) ?? { atNs, steadyNs: 0, deepNs: 0 };
  clock.steadyNs += seen.steadyNs ?? atNs - clock.atNs;
  clock.deepNs += seen.deepNs ?? 0;
  clock.atNs = atNs;
  clocks.set(node, clock);
  batch.arrivalNs[0] = atNs;
  batch.length = r.length = d.length = 1;
  batch.report[0] = r.datagram[0] = 0;
  d.isFiltered[0] = seen.isFiltered === false ? 0 : 1;
  batch.present[0] = Present.hopLatency;
  batch.nodeTag[0] = batch.portRow[0] = batch.queueRow[0] = node;
  batch.hopLatencyNs[0] = seen.latencyNs ?? 1000;
  batch.enqueueNodeNs[0] = atNs;
  batch.queueSteadyNs[0] = clock.steadyNs;
  batch.queueDeepNs[0] = seen.deepNs === undefined ? -1 : clock.deepNs;
  r.flags[0] = seen.isOfQueue === true ? ReportFlag.trackedFlow | ReportFlag.congestedQueue : ReportFlag.trackedFlow;
  r.flowRow[0] = seen.flow ?? 1;
  r.flowGeneration[0] = seen.generation ?? 1;
  r.flowParts[0] = FlowPart.addresses | (seen.sequence === undefined ? 0 : FlowPart.tcpSequence);
  r.tcpSequence[0] = seen.sequence ?? 0;
  r.tcpAcknowledgment[0] = seen.acknowledgment ?? 0;
  r.packetLengthBytes[0] = seen.bytes ?? 1500;
  observe();
}

it('is told by the TCP sequence, and took as long as the packet before', () => {
  see(0, { sequence: 0, latencyNs: 2000 });
  see(1e6, { sequence: 11 * 1460, latencyNs: 3000 });
  expect(packets).toEqual([[2000, 10]]);
  expect(flowBytes.get(1)).toBe(12 * 1500);
});

it('took as long as the last packet that the filter let through, whatever a long queue let through since', () => {
  see(0, { sequence: 0, latencyNs: 900 });
  see(1e6, { sequence: 1460, latencyNs: 90_000, isOfQueue: true });
  see(1e6, { sequence: 5 * 1460, latencyNs: 95_000, isOfQueue: true });
  expect(packets).toEqual([[900, 3]]);
});

it('is unknown where the node was first heard of past the filter', () => {
  see(0, { sequence: 0, latencyNs: 90_000, isOfQueue: true });
  see(1e6, { sequence: 5 * 1460, latencyNs: 95_000, isOfQueue: true });
  expect(packets).toEqual([]);
});

it('segments are as long as the longest of their flow, not as the last', () => {
  see(0, { sequence: 0 });
  see(1e6, { sequence: 4 * 1460, bytes: 100 });
  expect(packets).toEqual([[1000, 3]]);
});

it('a large step of the sequence after a long time needs a second one of its like', () => {
  see(0, { sequence: 0 });
  see(1e9, { sequence: 50e6 });
  expect(packets).toEqual([]);
  expect(flowBytes.get(1)).toBe(3000);
  see(1e9, { sequence: 100e6 });
  expect(packets).toEqual([[1000, Math.ceil(50e6 / 1460) - 1]]);
  // What no line could have carried is never believed.
  see(1e6, { sequence: 200e6 });
  expect(packets).toHaveLength(1);
});

it('a connection begins without an acknowledgment, and another one may begin on its ports: both are followed from there', () => {
  see(0, { sequence: 0, acknowledgment: 0, bytes: 60 });
  see(1e6, { sequence: 1, acknowledgment: 3e9, bytes: 1500 });
  for (let i = 1; i <= 9; i++) see(1e6, { sequence: 1 + i * 1460, acknowledgment: 3e9, bytes: 1500 });
  const first = flowBytes.get(1)!;
  expect(first).toBeGreaterThan(9 * 1500);
  expect(first).toBeLessThan(11 * 1500);
  // Sequences that begin lower than the last ones ended.
  see(1e9, { sequence: 2 ** 32 - 5e5, acknowledgment: 7, bytes: 1500 });
  for (let i = 1; i <= 9; i++) see(1e6, { sequence: 2 ** 32 - 5e5 + i * 1460, acknowledgment: 7, bytes: 1500 });
  expect(flowBytes.get(1)! - first).toBe(10 * 1500);
});

it('time goes on after milliseconds have gone round', () => {
  atNs = (2 ** 32 - 5) * 1e6;
  see(0, { sequence: 0 });
  for (let i = 1; i <= 20; i++) see(1e6, { sequence: i * 14_600 });
  expect(flowBytes.get(1)).toBe(201 * 1500);
  expect(packets).toHaveLength(20);
});

it('what one node tells of a flow goes for all interfaces on its way, once', () => {
  see(0, { node: 1, sequence: 0 });
  see(1000, { node: 2, sequence: 0 });
  see(1e6, { node: 2, sequence: 10 * 1460 });
  expect([...portBytes]).toEqual([
    [1, 11 * 1500],
    [2, 10 * 1500],
  ]);
  expect(flowBytes.get(1)).toBe(11 * 1500);
});

it('of acknowledgments is told by what they acknowledge, at the size that they have while a queue moves', () => {
  const bare = { sequence: 7, bytes: 40 };
  see(0, { ...bare, acknowledgment: 1 });
  see(1e6, { ...bare, acknowledgment: 29_201 });
  expect(packets).toEqual([[1000, 9]]);
  for (let i = 1; i <= 600; i++) see(2000, { ...bare, acknowledgment: 29_200 + i * 1460, steadyNs: 0, latencyNs: 5000 });
  packets = [];
  see(1e6, { ...bare, acknowledgment: 29_200 + 620 * 1460 });
  expect(packets).toEqual([[5000, 19]]);
});

it('of other flows is told by their pace while a queue came and went, for as long as the queue then stood still', () => {
  see(0);
  for (let i = 0; i < 10; i++) see(20_000, { latencyNs: 30_000, steadyNs: 0, deepNs: 20_000, isOfQueue: true });
  expect(packets).toEqual([]);
  see(20_000, { latencyNs: 1000, steadyNs: 0 });
  see(2e6, { latencyNs: 1400 });
  expect(packets).toEqual([[1000, 99]]);
  packets = [];
  see(2e6, { latencyNs: 30_000, steadyNs: 1e6, deepNs: 0 });
  expect(packets[0][0]).toBe(1400);
  expect(packets[0][1]).toBeGreaterThan(45);
  expect(packets[0][1]).toBeLessThan(60);
});

it('nothing is made up for a flow without a pace, that ceased while its queue was draining, or that was silent for longer than the filter allows', () => {
  see(0);
  see(1e6);
  for (let i = 0; i < 10; i++) see(20_000, { latencyNs: 90_000, steadyNs: 0, deepNs: 20_000, isOfQueue: true });
  see(2e6, { latencyNs: 1000 });
  see(2e9, { latencyNs: 1000 });
  expect(packets).toEqual([]);
});

it('nor for one that would have filled the line without anybody waiting', () => {
  see(0);
  for (let i = 0; i < 10; i++) see(2000, { latencyNs: 30_000, steadyNs: 0, deepNs: 2000, isOfQueue: true });
  see(2000, { latencyNs: 1000, steadyNs: 0 });
  see(1e6, { latencyNs: 1400 });
  expect(packets).toEqual([[1000, 499]]);
  see(100e6, { latencyNs: 1000 });
  expect(packets).toHaveLength(1);
});

it('a row that has passed to another flow begins anew, and reports of all packets are none of its business', () => {
  see(0, { sequence: 0 });
  see(1e6, { sequence: 11 * 1460, generation: 3 });
  see(1e6, { sequence: 99 * 1460, generation: 3, isFiltered: false });
  expect(packets).toEqual([]);
  expect(flowBytes.get(1)).toBe(3000);
});
