// Bucket bounds of latency histograms, shared by the stage that counts and the exporter that names the buckets.
// Classic Prometheus buckets from 25 us to 100 ms: a leaf-spine crossing at 10 Gbit/s is 5 to 15 us, a 5G fabric budget 1 ms.

/** Upper bounds in nanoseconds, ascending; one more bucket (+Inf) follows the last. */
export const LATENCY_BOUNDS_NS = [
  5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 100_000_000,
] as const;
export const LATENCY_BUCKETS = LATENCY_BOUNDS_NS.length + 1;

/** Index of the bucket that holds `ns`. */
export function latencyBucket(ns: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_NS.length && ns > LATENCY_BOUNDS_NS[bucket]) bucket++;
  return bucket;
}

const SUB_BITS = 6;
const SUB_BUCKETS = 2 ** SUB_BITS;
/** Latencies of 2^34 ns (17 s) and more are in the last bucket. */
const MAX_BITS = 34;
/** Buckets of the fine histogram: 64 an octave, so that each is 1.6 % wide at most (log-linear, as in HdrHistogram). */
export const FINE_BUCKETS = (MAX_BITS - SUB_BITS + 1) * SUB_BUCKETS;

/** Index of the fine bucket that holds `ns`, whole and not negative. */
export function fineBucket(ns: number): number {
  if (ns < SUB_BUCKETS) return ns;
  if (ns >= 2 ** 32) return ns >= 2 ** MAX_BITS ? FINE_BUCKETS - 1 : fineBucket(Math.floor(ns / 4)) + 2 * SUB_BUCKETS;
  const octave = 31 - Math.clz32(ns) - SUB_BITS;
  return (octave << SUB_BITS) + (ns >>> octave);
}

/** The least value of a fine bucket, ns. */
export function fineBoundNs(bucket: number): number {
  const octave = Math.max(0, Math.floor(bucket / SUB_BUCKETS) - 1);
  return (bucket - octave * SUB_BUCKETS) * 2 ** octave;
}

/** The latency that a share `q` of what these counts by fine bucket hold does not exceed, within 1 %; NaN when they hold nothing. */
export function fineQuantileNs(counts: Uint32Array | Float64Array, q: number): number {
  let all = 0;
  for (const count of counts) all += count;
  if (all === 0) return NaN;
  let left = q * all;
  for (let bucket = 0; bucket < FINE_BUCKETS; bucket++) {
    const [from, to] = [fineBoundNs(bucket), fineBoundNs(bucket + 1)];
    // Whole nanoseconds: in a bucket of one, there is nothing to divide.
    if (counts[bucket] >= left) return from + ((to - from - 1) * left) / counts[bucket];
    left -= counts[bucket];
  }
  return fineBoundNs(FINE_BUCKETS - 1);
}
