// The confidence falls with every kind of missing evidence, and never rises above what the evidence carries.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { confidenceOf, normalCdf, type Doubt } from '../../../collector/diagnose/confidence.ts';

const SURE: Doubt = {
  shares: [0.8, 0.1, 0.1],
  effectiveReports: 200,
  reportedRatio: 1,
  coverage: 1,
  identifiedShare: 1,
  explainedShare: 1,
  reportLossRatio: 0,
};

it('is near one for a clear culprit with everything seen, and zero for nothing', () => {
  expect(confidenceOf(SURE)).toBeGreaterThan(0.99);
  expect(confidenceOf({ ...SURE, shares: [] })).toBe(0);
  expect(confidenceOf({ ...SURE, effectiveReports: 0 })).toBe(0);
});

it('is little for one report of a port whose traffic is not known, and a coin for two equal shares', () => {
  expect(confidenceOf({ ...SURE, shares: [1], effectiveReports: 1, reportedRatio: null, coverage: null })).toBeLessThan(0.8);
  expect(confidenceOf({ ...SURE, shares: [0.51, 0.49], effectiveReports: 2, reportedRatio: null })).toBeLessThan(0.6);
});

it('at half of the reports lost a clear culprit is still named, and less surely', () => {
  const half = (doubt: Doubt): number => confidenceOf({ ...doubt, reportedRatio: 0.5, reportLossRatio: 0.5 });
  expect(half(SURE)).toBeGreaterThan(0.95);
  // Where nobody can tell how much was seen, lost reports need not be lost at random.
  expect(half({ ...SURE, coverage: null })).toBeGreaterThan(0.6);
  expect(half({ ...SURE, coverage: null })).toBeLessThan(0.8);
  const close = { ...SURE, shares: [0.5, 0.4, 0.1], effectiveReports: 60 };
  expect(half(close)).toBeLessThan(confidenceOf(close));
});

describe('never rises', () => {
  const doubt = fc.record({
    shares: fc.tuple(fc.double({ min: 0.5, max: 1, noNaN: true })).map(([first]) => [first, 1 - first]),
    effectiveReports: fc.double({ min: 1, max: 1000, noNaN: true }),
    reportedRatio: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: null }),
    coverage: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: null }),
    identifiedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    explainedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    reportLossRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const worse: [string, (d: Doubt) => Doubt][] = [
    ['with report loss', (d) => ({ ...d, reportLossRatio: Math.min(1, (d.reportLossRatio ?? 0) + 0.2) })],
    ['with less coverage', (d) => ({ ...d, coverage: d.coverage === null ? null : d.coverage * 0.7 })],
    ['with less of the wait explained', (d) => ({ ...d, explainedShare: d.explainedShare * 0.7 })],
    ['with less identity', (d) => ({ ...d, identifiedShare: d.identifiedShare * 0.7 })],
    ['with fewer packets reported', (d) => ({ ...d, reportedRatio: (d.reportedRatio ?? 0) * 0.7 })],
  ];
  it.each(worse)('%s', (_name, make) => {
    fc.assert(
      fc.property(doubt, (d) => {
        const before = confidenceOf(d);
        expect(before).toBeGreaterThanOrEqual(0);
        expect(before).toBeLessThanOrEqual(1);
        expect(confidenceOf(make(d))).toBeLessThanOrEqual(before + 1e-9);
      }),
    );
  });
});

it('the normal distribution is right to seven digits', () => {
  for (const [x, p] of [
    [0, 0.5],
    [1, 0.8413447461],
    [-1.96, 0.0249978951],
    [3, 0.998650102],
  ]) {
    expect(normalCdf(x)).toBeCloseTo(p, 6);
  }
});

describe('the figure itself', () => {
  it('is the normal approximation of the difference of two shares of a sample', () => {
    // 0.6 and 0.4 of 50 independent reports, smoothed by half a report in each of five groups.
    const [n, groups] = [50, 5];
    const smooth = (share: number): number => (share * n + 0.5) / (n + groups / 2);
    const [a, b] = [smooth(0.6), smooth(0.4)];
    const variance = (a * (1 - a) + b * (1 - b) + 2 * a * b) / (n + 1);
    const doubt = { ...SURE, shares: [0.6, 0.4], effectiveReports: n, reportedRatio: 0 };
    expect(confidenceOf(doubt)).toBeCloseTo(normalCdf((a - b) / Math.sqrt(variance)), 12);
    expect(confidenceOf({ ...doubt, reportedRatio: 0.5 })).toBeCloseTo(normalCdf((a - b) / Math.sqrt(variance / 2)), 12);
  });

  it('of all that there is to see leaves no doubt, and equal shares a coin', () => {
    expect(confidenceOf({ ...SURE, shares: [0.51, 0.49] })).toBe(1);
    expect(confidenceOf({ ...SURE, shares: [0.5, 0.5] })).toBe(0.5);
  });

  it('takes a coverage for low only when chance does not make it so', () => {
    const low = { ...SURE, coverage: 0.6 };
    expect(confidenceOf(low)).toBeCloseTo(0.6, 5);
    const few = (reports: number, loss: number): number =>
      confidenceOf({ ...low, effectiveReports: reports, reportedRatio: 0.8, reportLossRatio: loss });
    expect(few(20, 0)).toBeGreaterThan(0.9);
    expect(few(2000, 0)).toBeLessThan(0.75);
    expect(few(2000, 0.2)).toBeGreaterThan(few(2000, 0));
  });
});
