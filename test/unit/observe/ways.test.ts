// Ways of flows and histories of packets: who is seen to be behind whom, what moved, what goes round, what was lost.

import { beforeEach, describe, expect, it } from 'vitest';
import { FlowPart } from '../../../collector/flow-key.ts';
import { HopBatch, Present, ReportFlag } from '../../../collector/hop.ts';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { Ring } from '../../../collector/memory/ring.ts';
import { Move, MOVE_WIDTH, MoveKind } from '../../../collector/move.ts';
import { classStage, ClassTable } from '../../../collector/observe/class.ts';
import { dropStage, DropTable } from '../../../collector/observe/drop.ts';
import { PathTable, pathStage } from '../../../collector/observe/path.ts';
import { DELAY_SLOT_NS, portStage, PortTable } from '../../../collector/observe/port.ts';
import { sliceStage, SliceTable } from '../../../collector/observe/slice.ts';
import { STITCH_NS, stitchStage, StitchTable } from '../../../collector/observe/stitch.ts';
import { FIXED_SECRET } from '../../support/hops.ts';

interface Seen {
  node: number;
  egress: number;
  ingress?: number;
  flow?: number;
  ttl?: number;
  sequence?: number;
  identification?: number;
  bytes?: number;
  latencyNs?: number;
  enqueueNs?: number;
  packets?: number;
  isFiltered?: boolean;
  dropReason?: number;
  dscp?: number;
  queue?: number;
}

const FLOWS = 64;
const batch = new HopBatch(4, 4);
let nowNs: number;
let parts: ReturnType<typeof build>;
let stages: (() => void)[];

function build(arena: Arena) {
  return {
    ports: new PortTable(arena, 16, FIXED_SECRET),
    paths: new PathTable(arena, FLOWS),
    moves: new Ring(arena, 64, MOVE_WIDTH),
    stitch: new StitchTable(arena, 64),
    drops: new DropTable(arena, 16, FIXED_SECRET),
    slices: new SliceTable(arena, FLOWS),
    classes: new ClassTable(arena, 16),
  };
}

beforeEach(() => {
  parts = build(new Arena(new SharedArrayBuffer(measure((arena) => void build(arena)))));
  const { ports, paths, moves, stitch, drops, slices, classes } = parts;
  nowNs = 1e9;
  const path = pathStage(paths, batch, moves, {
    hasPeer: (row) => ports.hasPeer(row),
    votePeer: (row, tag, ingress) => ports.votePeer(row, tag, ingress),
  });
  stages = [
    portStage(ports, batch, new Map()),
    path.observe,
    sliceStage(slices, batch, Float64Array.of(Infinity, 5000), path.latencyNs),
    classStage(
      classes,
      batch,
      Array.from({ length: 64 }, (_, dscp) => (dscp === 46 ? 1 : 0)),
    ),
    stitchStage(stitch, batch, ports),
    dropStage(drops, batch),
  ];
});

/** One report of one hop, at the time that it is. */
function see(seen: Seen): void {
  const { reports: r, datagrams: d } = batch;
  batch.arrivalNs[0] = nowNs;
  batch.length = r.length = d.length = 1;
  batch.report[0] = r.datagram[0] = 0;
  r.firstHop[0] = 0;
  r.hopCount[0] = 1;
  d.isFiltered[0] = seen.isFiltered === true ? 1 : 0;
  d.portBytesPerNs[0] = 1.25;
  batch.present[0] = Present.egressInterfaceId | Present.hopLatency | Present.queueId | Present.dropReason;
  batch.nodeTag[0] = seen.node;
  batch.nodeId[0] = seen.node;
  batch.egressInterfaceId[0] = seen.egress;
  batch.ingressInterfaceId[0] = seen.ingress ?? 1;
  batch.queueId[0] = seen.queue ?? 0;
  batch.queueRow[0] = seen.node;
  batch.hopLatencyNs[0] = seen.latencyNs ?? 1000;
  batch.enqueueNodeNs[0] = seen.enqueueNs ?? nowNs;
  batch.dropReason[0] = seen.dropReason ?? 0;
  r.flags[0] = seen.dropReason === undefined ? ReportFlag.trackedFlow : ReportFlag.dropped;
  r.flowRow[0] = seen.flow ?? 1;
  r.flowGeneration[0] = 2;
  r.flowHash[0] = Math.imul(seen.flow ?? 1, 0x9e3779b1);
  r.flowParts[0] = FlowPart.addresses | (seen.sequence === undefined ? 0 : FlowPart.tcpSequence);
  r.tcpSequence[0] = seen.sequence ?? 0;
  r.ipIdentification[0] = seen.identification ?? 0;
  r.packetLengthBytes[0] = seen.bytes ?? 1500;
  r.representedPackets[0] = seen.packets ?? 1;
  r.ttl[0] = seen.ttl ?? 63;
  r.outerParts[0] = 0;
  r.dscp[0] = seen.dscp ?? 0;
  for (const stage of stages) stage();
}
const later = (ns: number): void => void (nowNs += ns);
const portRowOf = (node: number, egress: number): number => {
  parts.ports.keys.wanted[0] = node;
  parts.ports.keys.wanted[1] = egress;
  return parts.ports.keys.find();
};
/** The packet on its way over leaf 1, spine 2 and leaf 3. */
function cross(sequence: number, hops = 3): void {
  const way = [
    { node: 1, egress: 10, ttl: 63 },
    { node: 2, egress: 20, ingress: 21, ttl: 62 },
    { node: 3, egress: 30, ingress: 31, ttl: 61 },
  ];
  for (const hop of way.slice(0, hops)) see({ ...hop, sequence });
  later(1e6);
}
/** Something else is reported all the time, so that time goes by for what is waiting. */
function letTimePass(): void {
  for (let ns = 0; ns <= STITCH_NS; ns += 5e6) {
    later(5e6);
    see({ node: 9, egress: 90, flow: 9, sequence: 7 + ns });
  }
}
function movesTold(): { kind: number; node: number; from: number; to: number }[] {
  const record = new Float64Array(MOVE_WIDTH);
  const told = [];
  while (parts.moves.pop(record))
    told.push({
      kind: record[Move.kind],
      node: record[Move.nodeTag],
      from: record[Move.fromPortRow],
      to: record[Move.toPortRow],
    });
  return told;
}

describe('histories of packets', () => {
  it('tell who is behind whom, and the least delay between', () => {
    for (let i = 0; i < 5; i++) cross(i * 1460);
    letTimePass();
    const [up, down] = [portRowOf(1, 10), portRowOf(2, 20)];
    expect(parts.ports.peer(up)).toEqual({ nodeTag: 2, ingressInterfaceId: 21 });
    expect(parts.ports.peer(down)).toEqual({ nodeTag: 3, ingressInterfaceId: 31 });
    expect(parts.ports.peer(portRowOf(3, 30))).toBeUndefined();
    expect(parts.ports.followed(up)).toBeGreaterThan(0);
    // In at the same time as in at the node before, a latency of 1000 ns and 1200 ns on the line.
    expect(parts.ports.leastDelayNs(up, Math.floor(1e9 / DELAY_SLOT_NS))).toBe(-1000 - 1200);
  });

  it('that end in front of a known neighbour are packets that were not seen again', () => {
    for (let i = 0; i < 5; i++) cross(i * 1460);
    for (let i = 5; i < 8; i++) cross(i * 1460, 2);
    letTimePass();
    expect(parts.ports.unseen(portRowOf(2, 20))).toBe(3);
    expect(parts.ports.unseen(portRowOf(1, 10))).toBe(0);
    expect(parts.ports.unseen(portRowOf(3, 30))).toBe(0);
  });

  it('that were held up with all others are no losses: a pause of everything is not time that goes by', () => {
    for (let i = 0; i < 5; i++) cross(i * 1460);
    letTimePass();
    cross(50_000, 2);
    later(10e9);
    see({ node: 3, egress: 30, ingress: 31, ttl: 61, sequence: 50_000 });
    letTimePass();
    expect(parts.ports.unseen(portRowOf(2, 20))).toBe(0);
  });

  it('of one packet in many say nothing of what comes behind', () => {
    for (let i = 0; i < 5; i++) cross(i * 1460);
    see({ node: 1, egress: 10, sequence: 99_000, packets: 8 });
    letTimePass();
    expect(parts.ports.unseen(portRowOf(1, 10))).toBe(0);
  });

  it('of a segment that comes again tell how far the first one got; a bare acknowledgment that is repeated does not', () => {
    for (let i = 0; i < 5; i++) cross(i * 1460);
    letTimePass();
    cross(50_000, 2);
    cross(50_000);
    for (let i = 0; i < 3; i++) see({ node: 1, egress: 10, flow: 2, sequence: 1, bytes: 40 });
    letTimePass();
    expect(parts.ports.resent(portRowOf(2, 20))).toBe(1);
    expect(parts.ports.resent(portRowOf(1, 10))).toBe(0);
  });

  it('of packets without sequence and identification are not made: they look alike', () => {
    for (let i = 0; i < 9; i++) {
      see({ node: 1, egress: 10, ttl: 63 });
      see({ node: 2, egress: 20, ttl: 62 });
    }
    letTimePass();
    expect(parts.ports.peer(portRowOf(1, 10))).toBeUndefined();
  });

  it('are followed for one packet in two, four, ... when there are too many, and none that was under way counts as lost', () => {
    for (let i = 0; i < 5; i++) cross(i * 1460);
    letTimePass();
    for (let i = 0; i < 400; i++) {
      see({ node: 1, egress: 10, ttl: 63, sequence: 1e6 + i * 1460 });
      later(1e6);
    }
    expect(parts.stitch.totals[1]).toBeGreaterThan(0);
    expect(parts.stitch.totals[2]).toBeGreaterThan(0);
  });
});

describe('ways of flows', () => {
  it('that change after two packets are moves; a late report and the first packet are none', () => {
    see({ node: 1, egress: 10 });
    later(1000);
    see({ node: 1, egress: 11 });
    expect(movesTold()).toEqual([]);
    later(1000);
    see({ node: 1, egress: 11 });
    see({ node: 1, egress: 12, enqueueNs: nowNs - 500 });
    expect(movesTold()).toEqual([]);
    later(1000);
    see({ node: 1, egress: 12 });
    expect(movesTold()).toEqual([{ kind: MoveKind.moved, node: 1, from: portRowOf(1, 11), to: portRowOf(1, 12) }]);
  });

  it('whose TTL falls again and again at one node go round; a detour and a duplicate do not', () => {
    for (const ttl of [62, 62, 60, 60, 60]) {
      see({ node: 1, egress: 10, ttl });
      later(1000);
    }
    expect(movesTold()).toEqual([]);
    for (const ttl of [58, 62, 56, 54]) {
      see({ node: 1, egress: 10, ttl });
      later(1000);
    }
    expect(movesTold().map(({ kind }) => kind)).toEqual([MoveKind.looped]);
  });

  it('count octets at the first node only, and are forgotten with the flow', () => {
    for (let i = 0; i < 3; i++) cross(i * 1460);
    expect(parts.paths.bytes(1, 2)).toBe(4500);
    expect(parts.paths.hops(1, 2, nowNs / 1e6).map(({ nodeTag }) => nodeTag)).toEqual([1, 2, 3]);
    expect(parts.paths.hops(1, 4, nowNs / 1e6)).toEqual([]);
    expect(parts.paths.bytes(1, 4)).toBe(0);
  });

  it('go on after milliseconds have gone round, and lose the node that the flow has left', () => {
    nowNs = (2 ** 32 - 500) * 1e6;
    for (let i = 0; i < 3; i++) cross(i * 1460);
    later(2e9);
    see({ node: 1, egress: 11, ttl: 63 });
    see({ node: 4, egress: 40, ttl: 62 });
    see({ node: 3, egress: 30, ttl: 61 });
    const hops = parts.paths.hops(1, 2, nowNs / 1e6);
    expect(hops.map(({ nodeTag }) => nodeTag)).toEqual([1, 4, 3]);
    expect(hops.every(({ seenMs }) => Math.abs(seenMs - nowNs / 1e6) < 1)).toBe(true);
  });

  it('over more nodes than there is room for keep those that were seen last', () => {
    for (let node = 1; node <= 7; node++) {
      see({ node, egress: 10, ttl: 64 - node });
      later(1e6);
    }
    expect(parts.paths.hops(1, 2, nowNs / 1e6).map(({ nodeTag }) => nodeTag)).toEqual([3, 4, 5, 6, 7]);
  });

  it('octets go on being counted beyond what the low half of a double holds', () => {
    for (let i = 0; i < 3; i++) see({ node: 1, egress: 10, packets: 3_000_000, enqueueNs: 1e9 + i });
    expect(parts.paths.bytes(1, 2)).toBe(3 * 3_000_000 * 1500);
  });
});

it('the filter of changes does not keep links from being known', () => {
  for (let i = 0; i < 4; i++) {
    see({ node: 1, egress: 10, ttl: 63, isFiltered: true });
    see({ node: 2, egress: 20, ingress: 21, ttl: 62, isFiltered: true });
    later(1e6);
  }
  expect(parts.ports.peer(portRowOf(1, 10))).toEqual({ nodeTag: 2, ingressInterfaceId: 21 });
});

it('a slice gets the sum of what the nodes cost its packets, once, where they leave the fabric', () => {
  for (let i = 0; i < 5; i++) cross(i * 1460);
  letTimePass();
  parts.slices.assign(1, 2, 1);
  cross(90_000);
  expect(parts.slices.packets(1)).toBe(1);
  expect(parts.slices.latePackets(1)).toBe(0);
  expect(parts.slices.latencyQuantileNs(1, 0.5)).toBeGreaterThan(2900);
  expect(parts.slices.latencyQuantileNs(1, 0.5)).toBeLessThan(3100);
  see({ node: 1, egress: 10, ttl: 63, sequence: 91_460, latencyNs: 4500 });
  see({ node: 3, egress: 30, ttl: 61, sequence: 91_460 });
  expect(parts.slices.latePackets(1)).toBe(1);
});

it('drops are counted by place and reason, with about how many flows they hit', () => {
  for (let flow = 1; flow <= 20; flow++) for (let i = 0; i < 3; i++) see({ node: 1, egress: 10, flow, dropReason: 71 });
  see({ node: 1, egress: 0, dropReason: 26 });
  const { drops } = parts;
  expect(
    drops.keys.usedRows().map((row) => [drops.keys.keyWord(row, 1), drops.keys.keyWord(row, 2), drops.reports(row)]),
  ).toEqual([
    [10, 71, 60],
    [0, 26, 1],
  ]);
  expect(drops.flows(1)).toBeGreaterThanOrEqual(17);
  expect(drops.flows(1)).toBeLessThanOrEqual(24);
  expect(parts.ports.bytes(portRowOf(1, 10))).toBe(0);
});

it('hops in another queue than their DSCP says are counted at their node', () => {
  see({ node: 1, egress: 10, dscp: 46, queue: 1 });
  see({ node: 1, egress: 10, dscp: 46, queue: 0 });
  see({ node: 2, egress: 20, dscp: 0, queue: 0 });
  expect(parts.classes.misplaced(1)).toMatchObject({ hops: 1, dscp: 46, queue: 0 });
  expect(parts.classes.misplaced(2).hops).toBe(0);
});
