// The bounded ground: key table, ring and arrival logs, with capacities so small that the full and the wrapping paths run.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena, measure } from '../../../collector/memory/arena.ts';
import { ArrivalPool } from '../../../collector/memory/arrivals.ts';
import { LATENCY_BOUNDS_NS, LATENCY_BUCKETS, latencyBucket } from '../../../collector/memory/histogram.ts';
import { KeyTable, rowLayout } from '../../../collector/memory/key-table.ts';
import { Ring } from '../../../collector/memory/ring.ts';
import { FIXED_SECRET } from '../../support/hops.ts';

/** Builds a part over memory of its own size, as SharedState does. */
function over<T>(build: (arena: Arena) => T): T {
  return build(new Arena(new SharedArrayBuffer(measure((arena) => void build(arena)))));
}

describe('KeyTable', () => {
  const table = (capacity: number, idleNs = Infinity): KeyTable =>
    over((arena) => new KeyTable(arena, capacity, rowLayout(2, 0), idleNs, FIXED_SECRET));
  const rowOf = (keys: KeyTable, a: number, b: number, nowNs = 0): number => {
    keys.wanted[0] = a;
    keys.wanted[1] = b;
    return keys.rowOfWanted(nowNs);
  };

  it('gives each key one row for good while there is room, whatever the order (against a Map)', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 200 }), (keys) => {
        const table64 = table(1024);
        const known = new Map<string, number>();
        for (const [a, b] of keys) {
          const row = rowOf(table64, a, b);
          const key = `${a}/${b}`;
          expect(table64.isNew).toBe(!known.has(key));
          expect(row).toBe(known.get(key) ?? row);
          expect(row).toBeGreaterThan(0);
          known.set(key, row);
        }
        expect(new Set(known.values()).size).toBe(known.size);
        expect(table64.totals[0]).toBe(known.size);
      }),
    );
  });

  it('fills every row before it turns anything away, then sends what finds no room to row 0 and counts it', () => {
    const keys = table(1000);
    for (let i = 0; i < 1500; i++) rowOf(keys, i, 0);
    expect(keys.totals[0]).toBe(1000);
    expect(keys.totals[1]).toBe(500);
    expect(rowOf(keys, 0, 0)).toBeGreaterThan(0);
    expect(rowOf(keys, 1499, 0)).toBe(0);
  });

  it('gives an idle row away, and its generation rises; no key is ever found twice or lost', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { minLength: 50, maxLength: 400 }), (sequence) => {
        const keys = table(16, 10);
        const rows = new Map<number, { key: number; generation: number }>();
        sequence.forEach((key, i) => {
          const row = rowOf(keys, key, 7, i);
          if (row === 0) return;
          const before = rows.get(row);
          const generation = keys.generationOf(row);
          expect(generation & 1).toBe(0);
          if (before?.key === key) expect([keys.isNew, generation]).toEqual([false, before.generation]);
          else expect([keys.isNew, generation]).toEqual([true, (before?.generation ?? 0) + 2]);
          for (const [otherRow, other] of rows) if (other.key === key && otherRow !== row) rows.delete(otherRow);
          rows.set(row, { key, generation });
          expect(keys.keyWord(row, 0)).toBe(key);
        });
        expect(keys.totals[0]).toBeLessThanOrEqual(16);
      }),
    );
  });

  it('a key that stays busy keeps its row, however many come and go', () => {
    const keys = table(16, 10);
    const row = rowOf(keys, 1_000_000, 0, 0);
    for (let i = 0; i < 20_000; i++) {
      rowOf(keys, i, 0, i);
      expect(rowOf(keys, 1_000_000, 0, i)).toBe(row);
    }
    expect(keys.totals[2]).toBeGreaterThan(1000);
  });
});

describe('Ring', () => {
  const ring = (): Ring => over((arena) => new Ring(arena, 4, 2));

  it('keeps order over many turns, drops the newest when full, and counts', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (pushes) => {
        const r = ring();
        const model: number[] = [];
        let dropped = 0;
        pushes.forEach((isPush, i) => {
          if (isPush) {
            const taken = r.push(Float64Array.of(i, i + 1000));
            expect(taken).toBe(model.length < 4);
            if (taken) model.push(i);
            else dropped++;
          } else {
            const out = new Float64Array(2);
            expect(r.pop(out)).toBe(model.length > 0);
            if (model.length > 0) expect([...out]).toEqual([model[0], model.shift()! + 1000]);
          }
        });
        expect(r.dropped).toBe(dropped);
      }),
    );
  });
});

describe('ArrivalPool', () => {
  const pool = (logs: number, entries: number): ArrivalPool =>
    over((arena) => new ArrivalPool(arena, logs, entries, 10, { looseNs: 1000, pinnedNs: 100_000 }));
  const append = (p: ArrivalPool, row: number, nowNs: number, flow = 1): void =>
    p.append(row, true, nowNs, nowNs, 10, 100, 1, flow, 2, 0, false, row);
  const copyOf = (p: ArrivalPool, row: number) => p.copy(p.logOf(row), p.generationOf(p.logOf(row)));

  it('gives each queue a log while there is one, and takes it back', () => {
    const p = pool(2, 8);
    for (const row of [1, 2, 3]) append(p, row, 10);
    expect([1, 2, 3].map((row) => p.logOf(row))).toEqual([0, 1, -1]);
    expect(p.totals[0]).toBe(1);
    p.release(1);
    append(p, 3, 20);
    expect(p.logOf(3)).toBe(0);
    // Its first arrival went unseen: whoever judges must know.
    expect(p.isCompleteSince(3, 10)).toBe(false);
    expect(p.isCompleteSince(3, 11)).toBe(true);
  });

  it('a log handed over belongs to nobody until it is freed', () => {
    const p = pool(1, 8);
    append(p, 1, 10);
    const generation = p.generationOf(0);
    p.handOver(p.detach(1));
    append(p, 2, 20);
    expect(p.logOf(2)).toBe(-1);
    expect(p.copy(0, generation)!.length).toBe(1);
    p.free(0);
    append(p, 2, 30);
    expect(p.logOf(2)).toBe(0);
    expect(p.copy(0, generation)).toBeUndefined();
  });

  it('takes the log of the queue that was idle for longest, a pinned one only after long, and that queue knows', () => {
    const p = pool(2, 8);
    append(p, 1, 100);
    append(p, 2, 200);
    p.pin(1);
    append(p, 3, 900);
    expect(p.logOf(3)).toBe(-1);
    append(p, 3, 5_000);
    expect([p.logOf(1), p.logOf(2), p.logOf(3)]).toEqual([0, -1, 1]);
    expect(p.totals[1]).toBe(1);
    expect(copyOf(p, 3)!.length).toBe(1);
    append(p, 2, 110_000);
    expect([p.logOf(1), p.logOf(2)]).toEqual([-1, 0]);
    expect(p.isCompleteSince(2, 200)).toBe(false);
  });

  it('a full log keeps a random half at twice the weight: shares of alternating flows survive', () => {
    const p = pool(1, 256);
    for (let i = 0; i < 20_000; i++) append(p, 1, i, i % 2);
    const copy = copyOf(p, 1)!;
    expect(copy.length).toBeLessThanOrEqual(256);
    const weightOf = (flow: number): number => copy.weight.reduce((sum, w, i) => sum + (copy.flowRow[i] === flow ? w : 0), 0);
    const total = weightOf(0) + weightOf(1);
    expect(Math.abs(total / 20_000 - 1)).toBeLessThan(0.35);
    expect(Math.abs(weightOf(0) / total - 0.5)).toBeLessThan(0.12);
    // Every part of the time is still there, the beginning too: that is the build-up.
    expect(copy.enqueueNodeNs[0]).toBeLessThan(2000);
  });
});

it('latency buckets hold what their bounds say', () => {
  expect(latencyBucket(0)).toBe(0);
  LATENCY_BOUNDS_NS.forEach((bound, i) => {
    expect(latencyBucket(bound)).toBe(i);
    expect(latencyBucket(bound + 1)).toBe(i + 1);
  });
  expect(latencyBucket(Infinity)).toBe(LATENCY_BUCKETS - 1);
});
