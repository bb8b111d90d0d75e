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
