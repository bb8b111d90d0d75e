// The fine histogram: every value lies in its bucket, buckets follow one another, and none is wider than 3 %.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FINE_BUCKETS, fineBoundNs, fineBucket } from '../../../collector/memory/histogram.ts';

it('every value lies between the bounds of its bucket, and the bucket is narrow', () => {
  fc.assert(
    fc.property(fc.oneof(fc.integer({ min: 0, max: 2 ** 34 - 1 }), fc.integer({ min: 0, max: 5000 })), (ns) => {
      const bucket = fineBucket(ns);
      const [from, to] = [fineBoundNs(bucket), fineBoundNs(bucket + 1)];
      expect(from).toBeLessThanOrEqual(ns);
      expect(ns).toBeLessThan(to);
      expect(to - from).toBeLessThanOrEqual(Math.max(1, from / 32));
    }),
    { numRuns: 2000, seed: 20_261_127 },
  );
});

it('bounds rise without a gap, and what is longer is in the last', () => {
  for (let bucket = 0; bucket < FINE_BUCKETS; bucket++) expect(fineBucket(fineBoundNs(bucket))).toBe(bucket);
  expect(fineBucket(2 ** 34)).toBe(FINE_BUCKETS - 1);
  expect(fineBucket(2 ** 50)).toBe(FINE_BUCKETS - 1);
});
