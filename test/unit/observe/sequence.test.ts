// Sequence accounting: loss is what the counter advanced over and never came; wrap, reorder, duplicates and restarts are not loss.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { Arrival, sequenceStage, SequenceTable, Uncounted } from '../../../collector/observe/sequence.ts';
import { FIXED_SECRET } from '../../support/hops.ts';

const SOURCE = Uint32Array.of(0, 0, 0xffff, 0x0a000001);
const BITS = [22, 32] as const;

/** A table of counters, and what gives it a datagram of node `nodeId`. */
function table() {
  const build = (arena: Arena): SequenceTable => new SequenceTable(arena, 4, FIXED_SECRET);
  const t = build(new Arena(new SharedArrayBuffer(measure((arena) => void build(arena)))));
  const stage = sequenceStage(t, new Float64Array(1));
  const observe = (nodeId: number, sequenceNumber: number, sequenceBits: number): number =>
    stage(SOURCE, { nodeId, hardwareId: 0, sequenceNumber, sequenceBits });
  return { t, observe };
}

function feed(sequences: readonly number[], bits: number) {
  const { t, observe } = table();
  let fresh = 0;
  for (const s of sequences) if (observe(7, s, bits) === Arrival.fresh) fresh++;
  const [row] = t.keys.usedRows();
  return { t, observe, fresh, row, lost: t.expected(row) - t.received(row) };
}

describe.each(BITS)('a counter of %i bits', (bits) => {
  const span = 2 ** bits;
  /** `count` numbers from `from` on, with the counter's wrap. */
  const run = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => (from + i) % span);

  it('without gaps loses nothing, across the wrap too', () => {
    expect(feed(run(span - 50, 100), bits)).toMatchObject({ lost: 0, fresh: 100 });
  });

  it('counts a gap, across the wrap too', () => {
    const all = run(span - 50, 100);
    expect(feed([...all.slice(0, 45), ...all.slice(60)], bits).lost).toBe(15);
  });

  it('any mix of loss, duplication and reordering within the window is told apart exactly', () => {
    const scenario = fc.record({
      from: fc.constantFrom(0, 1, 1000, span - 100, span - 1),
      fates: fc.array(fc.record({ lost: fc.boolean(), twice: fc.boolean(), late: fc.nat(40) }), { minLength: 3, maxLength: 300 }),
    });
    fc.assert(
      fc.property(scenario, ({ from, fates }) => {
        const sent = fates.flatMap((fate, i) => {
          // The first and the last arrive in place: before the first nothing is expected, behind the last nothing is known.
          const edge = i === 0 || i === fates.length - 1;
          const sequence = (from + i) % span;
          if (edge) return [{ at: i, sequence }];
          if (fate.lost) return [];
          const once = { at: Math.min(i + fate.late, fates.length - 1.5), sequence };
          return fate.twice ? [once, { at: Math.min(i + fate.late + 3, fates.length - 1.2), sequence }] : [once];
        });
        const order = sent.map((s, i) => ({ ...s, i })).sort((a, b) => a.at - b.at || a.i - b.i);
        const { t, row, lost, fresh } = feed(
          order.map((s) => s.sequence),
          bits,
        );
        const distinct = new Set(order.map((s) => s.sequence)).size;
        expect(lost).toBe(fates.length - distinct);
        expect(fresh).toBe(distinct);
        expect(t.duplicates(row)).toBe(order.length - distinct);
      }),
    );
  });

  it('a restart from any point is one restart, not millions of losses', () => {
    const { t, row, lost } = feed([...run(100_000, 2000), ...run(0, 2000)], bits);
    expect(t.restarts(row)).toBe(1);
    expect(lost).toBe(0);
  });

  it.each([
    ['within the window', [...run(0, 800), ...run(0, 2000)], 1],
    ['far ahead of it, its beginning lost', [...run(3_000_000, 2000), ...run(1_100, 2000)], 1],
    ['behind it, its beginning lost', [...run(100_000, 2000), ...run(1_100, 2000)], 1],
  ])('a restart %s loses nothing and discards at most 16', (_name, sequences, restarts) => {
    const { t, row, lost, fresh } = feed(sequences, bits);
    expect(t.restarts(row)).toBe(restarts);
    expect(lost).toBe(0);
    expect(t.lost(row)).toBe(0);
    expect(sequences.length - fresh).toBeLessThan(16);
  });

  it('a stray number is neither loss nor restart', () => {
    for (const stray of [5_000, 60_000, 2_000_000, span - 5_000]) {
      const { t, row, lost } = feed([...run(0, 1500), stray, ...run(1500, 500)], bits);
      expect([lost, t.restarts(row), t.lost(row)]).toEqual([0, 0, 0]);
    }
  });

  it('a gap of thousands is counted whole, once it is confirmed', () => {
    const { t, row, lost } = feed([...run(0, 100), ...run(20_000, 200)], bits);
    expect(lost).toBe(19_900);
    expect(t.lost(row)).toBe(19_900);
  });

  it('an exporter that counts in steps is followed over a gap and a restart', () => {
    const steps = (from: number, count: number, step: number): number[] => run(0, count).map((i) => from + i * step);
    const { t, row } = feed([...steps(0, 300, 3), ...steps(20_000, 300, 3), ...steps(0, 300, 3)], bits);
    expect(t.restarts(row)).toBe(1);
    expect(t.uncounted(row)).toBe(Uncounted.no);
    expect(t.received(row)).toBe(900);
  });

  it.each([
    ['two exporters under one name', run(0, 2000).flatMap((i) => [i, i + 1_000_000])],
    ['reordering beyond all bounds', run(0, 4000).map((i) => (i % 2 === 0 ? i : i + 3000))],
  ])('%s: nothing is counted, nothing is discarded, and order is believed again', (_name, sequences) => {
    const { t, observe, row, fresh } = feed(sequences, bits);
    expect(t.uncounted(row)).toBe(Uncounted.erratic);
    expect(t.restarts(row)).toBeLessThanOrEqual(8);
    expect(fresh).toBeGreaterThan(sequences.length - 50);
    for (const sequence of run(3_000_000, 1000)) observe(7, sequence, bits);
    expect(t.uncounted(row)).toBe(Uncounted.no);
  });

  it('late numbers from before a restart cancel no loss', () => {
    const { lost } = feed([...run(50_000, 2000), ...run(0, 100), ...run(110, 100), 51_900, 51_950, 51_970], bits);
    expect(lost).toBe(10);
  });

  it('what is lost for good never falls, and ends as what is missing', () => {
    const { t, observe } = table();
    let last = 0;
    const order = run(0, 1000).flatMap((n) => (n % 10 === 3 ? [] : n % 50 === 8 ? [] : n % 50 === 12 ? [n, n - 4] : [n]));
    for (const sequence of [...order, ...run(1000, 100)]) {
      observe(7, sequence, bits);
      expect(t.lost(1)).toBeGreaterThanOrEqual(last);
      last = t.lost(1);
    }
    expect(last).toBe(100);
    expect(t.expected(1) - t.received(1)).toBe(100);
  });

  it('a counter that never moves says nothing about loss, and its datagrams are not duplicates', () => {
    const { t, row, lost, fresh } = feed(
      Array.from({ length: 100 }, () => 0),
      bits,
    );
    expect(t.uncounted(row)).toBe(Uncounted.constant);
    expect(lost).toBe(0);
    expect(t.duplicates(row)).toBe(0);
    expect(fresh).toBe(100);
  });
});

it('sources, nodes and hardware ids count apart; what finds no room counts in row 0', () => {
  const { t, observe } = table();
  for (let node = 0; node < 40; node++) observe(node, node, 32);
  expect(t.keys.totals[0]).toBe(4);
  expect(t.keys.totals[1]).toBe(36);
});
