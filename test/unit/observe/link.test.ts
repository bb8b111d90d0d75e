// Counters of interfaces: totals that go on over a wrap, begin anew with a restart, and are unknown where nobody tells.

import { expect, it } from 'vitest';
import { HopBatch, LINK_COUNTERS, LinkCounter, LinkStatus } from '../../../collector/hop.ts';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { linkStage, LinkTable } from '../../../collector/observe/link.ts';
import { FIXED_SECRET } from '../../support/hops.ts';

function build(capacity = 16) {
  const make = (arena: Arena): LinkTable => new LinkTable(arena, capacity, FIXED_SECRET);
  const links = make(new Arena(new SharedArrayBuffer(measure((arena) => void make(arena)))));
  const batch = new HopBatch(1, 1);
  const observe = linkStage(links, batch);
  const feed = (values: Partial<Record<keyof typeof LinkCounter, number>>, id = 3, status: number = LinkStatus.adminUp): void => {
    const l = batch.links;
    l.length = 1;
    l.nodeTag[0] = 1;
    l.interfaceId[0] = id;
    l.status[0] = status;
    l.counters.fill(-1, 0, LINK_COUNTERS);
    for (const [name, value] of Object.entries(values)) l.counters[LinkCounter[name as keyof typeof LinkCounter]] = value;
    observe();
  };
  const total = (counter: number, row = 1): number | undefined => links.total(row, counter);
  return { links, feed, total };
}

it('begins with what the agent tells, and goes on with the difference', () => {
  const { feed, total } = build();
  feed({ inOctets: 1000, speedBitsPerSecond: 10e9 });
  expect(total(LinkCounter.inOctets)).toBe(1000);
  feed({ inOctets: 1500, speedBitsPerSecond: 1e9 });
  expect(total(LinkCounter.inOctets)).toBe(1500);
  expect(total(LinkCounter.speedBitsPerSecond)).toBe(1e9);
});

it('a counter of 32 bits that wraps goes on', () => {
  const { feed, total } = build();
  feed({ inPackets: 4_294_967_290 });
  feed({ inPackets: 10 });
  expect(total(LinkCounter.inPackets)).toBe(4_294_967_306);
});

it('a counter that began again adds what it has since', () => {
  const { feed, total } = build();
  feed({ outOctets: 1_000_000 });
  feed({ outOctets: 300 });
  expect(total(LinkCounter.outOctets)).toBe(1_000_300);
  feed({ outOctets: 5e12 });
  feed({ outOctets: 7 });
  // Beyond 32 bits nothing wraps.
  expect(total(LinkCounter.outOctets)).toBe(5e12 + 1_000_007);
});

it('what the agent does not tell is not known, and silence in between loses nothing', () => {
  const { links, feed, total } = build();
  feed({ inErrors: 5 }, 3, LinkStatus.unknown);
  expect(total(LinkCounter.inDiscards)).toBeUndefined();
  expect(links.isUp(1)).toBeUndefined();
  feed({ inDiscards: 2 }, 3, LinkStatus.adminUp | LinkStatus.operationalUp);
  expect(total(LinkCounter.inDiscards)).toBe(2);
  expect(total(LinkCounter.inErrors)).toBe(5);
  expect(links.isUp(1)).toBe(true);
  feed({ inErrors: 9 });
  expect(total(LinkCounter.inErrors)).toBe(9);
  expect(links.isUp(1)).toBe(false);
});

it('has a bound, and counts what found no room', () => {
  const { links, feed } = build(16);
  for (let id = 1; id <= 20; id++) feed({ inOctets: id }, id);
  expect(links.keys.totals[0]).toBe(16);
  expect(links.keys.totals[1]).toBe(4);
});
