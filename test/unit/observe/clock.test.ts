// Node time: 64-bit stamps keep their nanoseconds, 32-bit ones unwrap, a step of the device clock never runs time far backwards.

import { describe, expect, it } from 'vitest';
import { rowOfTag } from '../../../collector/hop.ts';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { clockStage, NodeTable } from '../../../collector/observe/clock.ts';
import { fill, FIXED_SECRET, smallBatch } from '../../support/hops.ts';

const WRAP_NS = 2 ** 32;
const ROW = 1;

/** A table of nodes with its stage and the batch that it works on. */
function table(capacity = 1) {
  const build = (arena: Arena): NodeTable => new NodeTable(arena, capacity, FIXED_SECRET);
  const nodes = build(new Arena(new SharedArrayBuffer(measure((arena) => void build(arena)))));
  const batch = smallBatch();
  return { nodes, batch, observe: clockStage(nodes, batch) };
}
type Table = ReturnType<typeof table>;

/** Feeds one ingress stamp that arrives at `nowNs`; returns the enqueue time that the hop was given. */
function feed({ batch, observe }: Table, stampNs: bigint, nowNs: number, wrapNs = 0): number {
  fill(batch, { nodeId: 7, ingressTimestampNs: stampNs, timestampWrapNs: wrapNs }, nowNs);
  observe();
  return batch.enqueueNodeNs[0];
}

describe('64-bit stamps', () => {
  it('keep single nanoseconds at today’s epoch, where a double steps by 256', () => {
    const t = table();
    const epoch = 1_795_000_000_000_000_000n;
    const first = feed(t, epoch, 5_000);
    expect(feed(t, epoch + 1n, 6_000) - first).toBe(1);
    expect(feed(t, epoch + 2n ** 33n + 3n, 6_000 + 2 ** 33) - first).toBe(2 ** 33 + 3);
  });

  it('map to collector time by the least delay seen', () => {
    const t = table();
    const at = feed(t, 1_000_000n, 500_000);
    feed(t, 2_000_000n, 1_450_000);
    expect(at + t.nodes.offsetNs(ROW)).toBe(450_000);
  });

  it('of a clock that was set count as a step, and time goes on', () => {
    const t = table();
    const before = feed(t, 1_000_000_000_000n, 1e9);
    // One stamp alone is not believed, but its report is placed where it arrived.
    expect(feed(t, 5n, 2e9) - before).toBe(1e9);
    expect(t.nodes.clockSteps(ROW)).toBe(0);
    expect(feed(t, 1_000_000_005n, 3e9) - before).toBe(2e9);
    expect(t.nodes.clockSteps(ROW)).toBe(1);
    expect(feed(t, 2_000_000_005n, 4e9) - before).toBe(3e9);
    expect(t.nodes.clockSteps(ROW)).toBe(1);
  });

  it.each([
    ['ahead', 9_000_000_000n],
    ['back', -9_000_000_000n],
  ])('one garbage stamp %s of its time leaves everything behind it where it is', (_name, off) => {
    const t = table();
    const first = feed(t, 100_000_000_000n, 1e9);
    feed(t, 100_000_000_000n + off, 1e9 + 1000);
    expect(feed(t, 100_000_002_000n, 1e9 + 2000) - first).toBe(2000);
    expect(t.nodes.clockSteps(ROW)).toBe(0);
  });
});

describe('32-bit stamps', () => {
  it('unwrap over many turns, and over silence of several turns', () => {
    const t = table();
    let trueNs = 4_000_000_000n;
    let nowNs = 1e9;
    const first = feed(t, trueNs % BigInt(WRAP_NS), nowNs, WRAP_NS);
    for (const silenceNs of [1_000n, 500_000_000n, 3_000_000_000n, 9_000_000_000n, 30_000_000_000n]) {
      trueNs += silenceNs;
      nowNs += Number(silenceNs);
      const at = feed(t, trueNs % BigInt(WRAP_NS), nowNs, WRAP_NS);
      expect(at - first).toBe(Number(trueNs - 4_000_000_000n));
    }
    expect(t.nodes.clockSteps(ROW)).toBe(0);
  });

  it('of a late report lie before the newest', () => {
    const t = table();
    const first = feed(t, 100n, 1e9, WRAP_NS);
    expect(feed(t, BigInt(WRAP_NS) - 50n, 1e9, WRAP_NS) - first).toBe(-150);
  });
});

it('without stamps the arrival of the report stands for the packet', () => {
  const t = table();
  fill(t.batch, { nodeId: 7, hopLatencyNs: 5 }, 3e9);
  t.observe();
  expect(t.batch.enqueueNodeNs[0] + t.nodes.offsetNs(ROW)).toBe(3e9);
});

it('a report without a node id is told apart by its source', () => {
  const t = table(16);
  const rows = [1, 2, 1].map((sourceKey) => {
    fill(t.batch, { ingressTimestampNs: 5n }, 1e9);
    t.batch.datagrams.sourceKey[0] = sourceKey;
    t.observe();
    return rowOfTag(t.batch.nodeTag[0]);
  });
  expect(rows[0]).toBe(rows[2]);
  expect(rows[0]).not.toBe(rows[1]);
});
