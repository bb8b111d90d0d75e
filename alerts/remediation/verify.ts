// Did it help? Judged on postcards of the very queue: how often it congests and for how long, before the request and after it had time
// to settle. Before and after are measured alike: whole periods of what recurs, or the share of time of what stands.
// Rule: no data is inconclusive, never good; and what could as well be chance is no effect.

/** Counters of one queue at one time. */
export interface QueueReading {
  atNs: number;
  /** Time above the closing threshold so far, ns. */
  congestedNs: number;
  /** Congestion events opened so far. */
  openings: number;
  reports: number;
}

/** How a queue behaved before the request. */
export interface Baseline {
  /** Congested time per time, 0 to 1. */
  congestedShare: number;
  /** Mean time between openings, ns; 0 for congestion that stands. */
  periodNs: number;
}

export type Verdict = 'verified' | 'no-effect' | 'inconclusive';

/** Openings after the first that make a period. */
const MIN_RECURRENCES = 2;
/** Share of time from which on congestion stands. */
const STANDING_SHARE = 0.3;
/** Periods to watch: with eight expected, none or one is chance once in 330 times. */
const PERIODS = 8;
const MAX_CHANCE = 0.01;
const MIN_REPORTS = 20;
/** The congested share must at least halve. */
const IMPROVED_TO = 0.5;

/**
 * The baseline between the first reading of an incident and now, or undefined while it is too short to compare with: neither two
 * recurrences, nor congestion that has stood for `settleNs`.
 */
export function baselineOf(first: QueueReading, now: QueueReading, settleNs: number): Baseline | undefined {
  const elapsedNs = now.atNs - first.atNs;
  const recurrences = now.openings - first.openings;
  if (elapsedNs <= 0) return undefined;
  const congestedShare = (now.congestedNs - first.congestedNs) / elapsedNs;
  if (recurrences >= MIN_RECURRENCES) return { congestedShare, periodNs: elapsedNs / recurrences };
  return congestedShare >= STANDING_SHARE && elapsedNs >= settleNs ? { congestedShare, periodNs: 0 } : undefined;
}

/** How long to watch after the change has settled, ns. */
export function watchNs(baseline: Baseline, settleNs: number): number {
  return Math.max(settleNs, baseline.periodNs * PERIODS);
}

/** Compares the queue between `settled` and `end` with the baseline. */
export function judge(baseline: Baseline, settled: QueueReading, end: QueueReading): Verdict {
  const elapsedNs = end.atNs - settled.atNs;
  if (elapsedNs <= 0 || end.reports - settled.reports < MIN_REPORTS) return 'inconclusive';
  const share = (end.congestedNs - settled.congestedNs) / elapsedNs;
  if (share > baseline.congestedShare * IMPROVED_TO) return 'no-effect';
  if (baseline.periodNs === 0) return 'verified';
  const chance = poissonAtMost(end.openings - settled.openings, elapsedNs / baseline.periodNs);
  return chance <= MAX_CHANCE ? 'verified' : 'no-effect';
}

/** P(N <= count) for a Poisson variable with the given mean. */
function poissonAtMost(count: number, mean: number): number {
  let term = Math.exp(-mean);
  let sum = term;
  for (let n = 1; n <= count; n++) {
    term *= mean / n;
    sum += term;
  }
  return sum;
}
