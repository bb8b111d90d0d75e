// The two-threshold machine: what opens, grows and closes an event, and what must not.

import { beforeEach, describe, expect, it } from 'vitest';
import { Edge, EDGE_WIDTH, EdgeKind } from '../../../collector/edge.ts';
import { ReportFlag } from '../../../collector/hop.ts';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { ArrivalPool } from '../../../collector/memory/arrivals.ts';
import { Ring } from '../../../collector/memory/ring.ts';
import { queueStage, QueueTable } from '../../../collector/observe/queue.ts';
import { fill, FIXED_SECRET, smallBatch, type HandMadeHop } from '../../support/hops.ts';

const THRESHOLDS = {
  openWaitNs: 50_000,
  closeWaitNs: 25_000,
  floorWaitNs: 5_000,
  maxBuildUpNs: 500_000,
  timeoutAfterNs: 60e9,
  portRates: new Map([[7, new Map([[11, 5]])]]),
};
const BASE_NS = 1_000;

function build(arena: Arena) {
  const arrivals = new ArrivalPool(arena, 2, 64, 17, { looseNs: 10e6, pinnedNs: 60e9 });
  const edges = new Ring(arena, 16, EDGE_WIDTH);
  return { arrivals, edges, queues: new QueueTable(arena, 16, FIXED_SECRET, arrivals) };
}

const batch = smallBatch();
let parts: ReturnType<typeof build>;
let observeQueue: () => void;
beforeEach(() => {
  parts = build(new Arena(new SharedArrayBuffer(measure((arena) => void build(arena)))));
  observeQueue = queueStage(parts.queues, batch, THRESHOLDS, parts.arrivals, parts.edges, 16);
  // The latency of an empty queue is learned from the least that was seen.
  observe({ atNs: 1, waitNs: 0 });
});

function observe({ atNs, waitNs, ...hop }: HandMadeHop & { atNs: number; waitNs: number }): void {
  const whole = { nodeId: 7, nodeTag: 1, egressInterfaceId: 3, hopLatencyNs: BASE_NS + waitNs, enqueueNodeNs: atNs, ...hop };
  fill(batch, whole, atNs);
  observeQueue();
}

function edges(): Float64Array[] {
  const all: Float64Array[] = [];
  for (let e = new Float64Array(EDGE_WIDTH); parts.edges.pop(e); e = new Float64Array(EDGE_WIDTH)) all.push(e);
  return all;
}
const kinds = (): number[] => edges().map((e) => e[Edge.kind]);

it('opens at the high threshold and closes below the low one, with peak, build-up and end', () => {
  observe({ atNs: 10_000, waitNs: 4_000 });
  observe({ atNs: 20_000, waitNs: 30_000 });
  observe({ atNs: 30_000, waitNs: 60_000 });
  observe({ atNs: 40_000, waitNs: 90_000 });
  observe({ atNs: 50_000, waitNs: 30_000 });
  observe({ atNs: 60_000, waitNs: 20_000 });
  const [opened, closed, ...rest] = edges();
  expect(rest).toEqual([]);
  expect(opened[Edge.kind]).toBe(EdgeKind.opened);
  expect(closed[Edge.kind]).toBe(EdgeKind.closed);
  expect(closed[Edge.buildUpNodeNs]).toBe(10_000);
  expect(closed[Edge.openedNodeNs]).toBe(30_000);
  expect(closed[Edge.peakNodeNs]).toBe(40_000);
  expect(closed[Edge.peakWaitNs]).toBe(90_000);
  expect(closed[Edge.lastNodeNs]).toBe(60_000);
  expect(closed[Edge.reports]).toBe(4);
  // Evidence from the last nearly empty moment on: five arrivals, the one that closed it included.
  expect(parts.arrivals.copy(closed[Edge.log], closed[Edge.logGeneration])!.length).toBe(5);
});

it('between the thresholds nothing opens, and nothing closes', () => {
  observe({ atNs: 10_000, waitNs: 49_999 });
  expect(kinds()).toEqual([]);
  observe({ atNs: 20_000, waitNs: 50_000 });
  observe({ atNs: 30_000, waitNs: 25_000 });
  expect(kinds()).toEqual([EdgeKind.opened]);
});

it('silence closes nothing: 59 s later the event is still open', () => {
  observe({ atNs: 10_000, waitNs: 60_000 });
  observe({ atNs: 59e9, waitNs: 60_000 });
  expect(kinds()).toEqual([EdgeKind.opened, EdgeKind.grew]);
  expect(parts.queues.isOpen(1)).toBe(true);
  // Nor does silence count as congested time, beyond what the queue needed to drain.
  expect(parts.queues.congestedNs(1)).toBe(60_000);
});

it('congestion that comes back after the timeout is another event', () => {
  observe({ atNs: 10_000, waitNs: 60_000 });
  observe({ atNs: 3600e9, waitNs: 70_000 });
  observe({ atNs: 3600e9 + 10_000, waitNs: 0 });
  const seen = edges();
  expect(seen.map((e) => [e[Edge.kind], e[Edge.openCount]])).toEqual([
    [EdgeKind.opened, 1],
    [EdgeKind.opened, 2],
    [EdgeKind.closed, 2],
  ]);
  expect(seen[2][Edge.peakWaitNs]).toBe(70_000);
});

it('tells of an event again after 1, 5 and 100 ms; how it stands later can be looked up', () => {
  for (const ms of [0, 0.5, 1.1, 2, 5.1, 50, 101, 200, 900]) observe({ atNs: 10_000 + ms * 1e6, waitNs: 60_000 });
  expect(kinds()).toEqual([EdgeKind.opened, ...Array<number>(3).fill(EdgeKind.grew)]);
  observe({ atNs: 2_100e6, waitNs: 100_000 });
  expect(kinds()).toEqual([]);
  const now = new Float64Array(EDGE_WIDTH);
  parts.queues.describeNow(1, now);
  expect([now[Edge.peakWaitNs], now[Edge.lastNodeNs], now[Edge.reports]]).toEqual([100_000, 2_100e6, 10]);
});

it('a late report opens, closes and empties nothing, but it is evidence', () => {
  observe({ atNs: 10_000, waitNs: 20_000 });
  observe({ atNs: 20_000, waitNs: 60_000 });
  observe({ atNs: 15_000, waitNs: 1_000 });
  observe({ atNs: 30_000, waitNs: 60_000 });
  observe({ atNs: 40_000, waitNs: 1_000 });
  observe({ atNs: 35_000, waitNs: 90_000 });
  const [, closed, ...rest] = edges();
  expect(rest).toEqual([]);
  expect(closed[Edge.openedNodeNs]).toBe(20_000);
  expect(closed[Edge.lastNodeNs]).toBe(40_000);
  expect(parts.arrivals.copy(closed[Edge.log], closed[Edge.logGeneration])!.length).toBe(5);
});

it('an event whose build-up was not kept whole has no log: half an evidence would accuse the last comer', () => {
  // Two other queues hold both logs and stay busy.
  for (const port of [11, 12]) {
    observe({ atNs: 1_000, waitNs: 0, egressInterfaceId: port });
    observe({ atNs: 10_000, waitNs: 20_000, egressInterfaceId: port });
  }
  observe({ atNs: 20_000, waitNs: 20_000 });
  observe({ atNs: 25_000, waitNs: 0, egressInterfaceId: 11 });
  observe({ atNs: 30_000, waitNs: 60_000 });
  const [opened] = edges();
  expect(opened[Edge.log]).toBe(-1);
});

it('the build-up begins no earlier than the bound before the opening', () => {
  observe({ atNs: 5_000_000, waitNs: 60_000 });
  expect(edges()[0][Edge.buildUpNodeNs]).toBe(4_500_000);
});

it('a filling queue that empties without an event gives its log back', () => {
  for (let i = 1; i < 50; i++) {
    observe({ atNs: i * 10_000, waitNs: 20_000 });
    observe({ atNs: i * 10_000 + 5_000, waitNs: 0 });
  }
  expect(parts.arrivals.totals[0]).toBe(0);
});

it('an edge that finds no room frees its log', () => {
  for (let i = 1; i < 40; i++) {
    observe({ atNs: i * 1_000_000, waitNs: 60_000 });
    observe({ atNs: i * 1_000_000 + 100_000, waitNs: 0 });
  }
  for (const edge of edges()) if (edge[Edge.kind] === EdgeKind.closed && edge[Edge.log] >= 0) parts.arrivals.free(edge[Edge.log]);
  expect(parts.edges.dropped).toBeGreaterThan(0);
  observe({ atNs: 50_000_000, waitNs: 60_000 });
  expect(edges()[0][Edge.log]).toBeGreaterThanOrEqual(0);
});

describe('waits', () => {
  it('come from the occupancy where unit and rate are known, at once and without a base', () => {
    observe({
      atNs: 10_000,
      waitNs: 0,
      egressInterfaceId: 9,
      queueOccupancy: 1000,
      occupancyUnitBytes: 80,
      portBytesPerNs: 1.25,
    });
    const [opened] = edges();
    expect(opened[Edge.peakWaitNs]).toBe(64_000);
    expect(opened[Edge.peakDepthBytes]).toBe(80_000);
  });

  it('are measured against the configured latency of an empty queue, so that a queue first seen congested is seen', () => {
    observe({ atNs: 10_000, waitNs: 80_000, egressInterfaceId: 6, emptyLatencyNs: BASE_NS });
    expect(edges()[0][Edge.peakWaitNs]).toBe(80_000);
  });

  it('come from egress minus ingress where no latency is given, over a 32-bit wrap', () => {
    const stamps = (latencyNs: number): HandMadeHop => ({
      hopLatencyNs: undefined,
      egressInterfaceId: 5,
      ingressTimestampNs: 0xffff_ff00n,
      egressTimestampNs: BigInt((0xffff_ff00 + latencyNs) % 2 ** 32),
      timestampWrapNs: 2 ** 32,
    });
    observe({ atNs: 10_000, waitNs: 0, ...stamps(1_000) });
    observe({ atNs: 20_000, waitNs: 0, ...stamps(71_000) });
    expect(edges()[0][Edge.peakWaitNs]).toBe(70_000);
  });

  it('are nothing for a hop without latency, stamps or occupancy', () => {
    observe({ atNs: 10_000, waitNs: 0, hopLatencyNs: undefined });
    expect(kinds()).toEqual([]);
  });
});

it('a queue that stands for an hour does not become its own normal', () => {
  observe({ atNs: 10_000, waitNs: 60_000 });
  for (let minute = 0; minute < 90; minute += 0.5) observe({ atNs: 20_000 + minute * 60e9, waitNs: 60_000 });
  expect(kinds()).not.toContain(EdgeKind.closed);
});

it('drop reports count and neither open nor close', () => {
  observe({ atNs: 10_000, waitNs: 90_000, flags: ReportFlag.dropped });
  expect(kinds()).toEqual([]);
  expect(parts.queues.dropReports(1)).toBe(1);
});

it('queues beyond the bound share row 0, which opens nothing', () => {
  for (let port = 100; port < 140; port++) observe({ atNs: 10_000, waitNs: 0, egressInterfaceId: port });
  expect(parts.queues.keys.totals[1]).toBeGreaterThan(0);
  edges();
  observe({ atNs: 20_000, waitNs: 90_000, egressInterfaceId: 139 });
  expect(kinds()).toEqual([]);
});

it('the depth of a port with a rate of its own becomes a wait at that rate', () => {
  const full = { atNs: 10_000, waitNs: 0, queueOccupancy: 100_000, occupancyUnitBytes: 1, portBytesPerNs: 1.25 };
  observe({ ...full, egressInterfaceId: 11 });
  expect(kinds()).toEqual([]);
  observe({ ...full, egressInterfaceId: 3 });
  expect(kinds()).toEqual([EdgeKind.opened]);
});
