// Did it help? Judged on postcards of the very queue: its congested time before the request and after it had time to settle.
// Rule: no data is inconclusive, never good.

/** Counters of one queue at one time. */
export interface QueueReading {
  atNs: number;
  congestedNs: number;
  reports: number;
}

export type Verdict = 'verified' | 'no-effect' | 'inconclusive';

const MIN_REPORTS = 20;
/** The congested share must at least halve. */
const IMPROVED_TO = 0.5;

/** Compares the congested share of [before0, before1] with that of [after0, after1]. */
export function judge(before: readonly [QueueReading, QueueReading], after: readonly [QueueReading, QueueReading]): Verdict {
  if (after[1].reports - after[0].reports < MIN_REPORTS) return 'inconclusive';
  const was = congestedShare(before);
  const is = congestedShare(after);
  if (was <= 0) return 'inconclusive';
  return is <= was * IMPROVED_TO ? 'verified' : 'no-effect';
}

function congestedShare([from, to]: readonly [QueueReading, QueueReading]): number {
  const elapsed = to.atNs - from.atNs;
  return elapsed <= 0 ? 0 : (to.congestedNs - from.congestedNs) / elapsed;
}
