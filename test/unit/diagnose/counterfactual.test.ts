// What a queue would have been without somebody, on arrivals whose answer can be reckoned by hand, and on any.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { counterfactualShares, piecesOf } from '../../../collector/diagnose/counterfactual.ts';
import { logOf } from '../../support/arrivals.ts';

/** Arrivals as [ns, octets, group]. */
function sharesOf(arrivals: readonly (readonly [number, number, number])[], portBytesPerNs = 1): number[] | null {
  const log = logOf(arrivals.map(([atNs, bytes]) => ({ atNs, bytes, flow: 0 })));
  const window = { fromNodeNs: 0, toNodeNs: Infinity, portBytesPerNs };
  const groups = Math.max(0, ...arrivals.map(([, , group]) => group)) + 1;
  const pieces = piecesOf(log, log.lengthBytes, window, new Uint8Array(log.length).fill(1), () => true);
  const shares = counterfactualShares(pieces, undefined, portBytesPerNs, groups, (i) => arrivals[i][2]);
  return shares === null ? null : [...shares];
}

describe('the counterfactual', () => {
  it('of two equal packets at once: without either, nobody waits', () => {
    expect(
      sharesOf([
        [0, 100, 0],
        [0, 100, 1],
      ]),
    ).toEqual([1, 1]);
  });

  it('of three at once: the last waits for two, the second for one', () => {
    const [first, second, third] = sharesOf([
      [0, 100, 0],
      [0, 100, 1],
      [0, 100, 2],
    ])!;
    for (const share of [first, second, third]) expect(share).toBeCloseTo(2 / 3);
  });

  it('of packets that come when the queue is empty again: there is nothing to be without', () => {
    expect(
      sharesOf([
        [0, 100, 0],
        [1000, 100, 1],
      ]),
    ).toBeNull();
  });

  it('of a steady half and a burst: without the burst there is hardly a queue', () => {
    const steady = Array.from({ length: 200 }, (_, i) => [i * 200, 100, 0] as const);
    const burst = Array.from({ length: 100 }, (_, i) => [10_000 + i * 100, 100, 1] as const);
    const [half, burster] = sharesOf([...steady, ...burst])!;
    expect(burster).toBeGreaterThan(0.9);
    expect(half).toBeGreaterThan(0.5);
  });

  it('arrivals may come out of order, and of no rate nothing is said', () => {
    const arrivals = Array.from({ length: 50 }, (_, i) => [i * 70, 100, i % 3] as const);
    expect(sharesOf([...arrivals].reverse())).toEqual(sharesOf(arrivals));
    expect(sharesOf(arrivals, 0)).toBeNull();
    expect(sharesOf([])).toBeNull();
  });

  it('is between nothing and everything, everything for whoever was alone, and no less for whoever sent more', () => {
    const arrival = fc.tuple(
      fc.integer({ min: 0, max: 5000 }),
      fc.integer({ min: 40, max: 1500 }),
      fc.integer({ min: 0, max: 3 }),
    );
    fc.assert(
      fc.property(fc.array(arrival, { minLength: 1, maxLength: 60 }), (arrivals) => {
        const shares = sharesOf(arrivals);
        // Nobody waits.
        if (shares === null) return;
        for (const share of shares) expect(share).toBeGreaterThanOrEqual(0);
        for (const share of shares) expect(share).toBeLessThanOrEqual(1);
        const alone = sharesOf(arrivals.map(([ns, octets]) => [ns, octets, 0] as const))!;
        expect(alone[0]).toBe(1);
        const joined = sharesOf(arrivals.map(([ns, octets, group]) => [ns, octets, group === 1 ? 0 : group] as const))!;
        expect(joined[0]).toBeGreaterThanOrEqual(shares[0] - 1e-9);
      }),
      { numRuns: 300, seed: 20_261_127 },
    );
  });
});
