// How sure the first culprit is the first: the chance that the order of the two largest shares is right, times what coverage,
// identity and report loss leave of it.
// Rule: it only ever falls with missing evidence. It is a probability of being right, not a feeling.

/** What the confidence of a verdict is made of. */
export interface Doubt {
  /** Shares of the build-up, largest first. */
  shares: readonly number[];
  effectiveReports: number;
  /** Octets of reported packets over octets that the port must have taken in: 1 leaves no sampling doubt. Null: not known. */
  reportedRatio: number | null;
  /** Estimated octets over octets that the port must have taken in, or null when that is not known. */
  coverage: number | null;
  identifiedShare: number;
  /** Of the longest wait, the part that the octets ahead in the same queue explain at line rate, 0 to 1: the rest has its cause elsewhere. */
  explainedShare: number;
  /** Null: the exporter does not count. */
  reportLossRatio: number | null;
}

/** A packet on the wire, and a depth that is rounded, leave so much of a wait explained. */
const EXPLAINED_SHARE = 0.8;
/** What is assumed of an exporter that does not count its reports. */
const UNKNOWN_LOSS = 0.2;
/** Variance that runs of lost reports add, per share that is lost; and how far an estimate may be off by chance. */
export const RUNS = 60;
export const SIGMAS = 3;

/**
 * P(first is first) by a normal approximation of the difference of two multinomial shares with finite-population correction (as far as it is known how
 * much of the population was reported), times the coverage factor clamp((coverage - 0.3) / 0.5) and the identified share, and
 * by what part of the wait the queue itself explains: behind a queue that is served first, nobody in this one is the cause. Lost reports need not be lost
 * at random, because congestion drops postcards too: coverage shows that. Where it is not known, half of the loss is taken off. With a fifth of the
 * reports lost (`npm run score`, seeds 1 and 2), confidence is then off by 0.03 in the mean of the scenarios whose ports have one queue and whose senders
 * are all watched; half of the loss taken off always made that 0.1.
 */
export function confidenceOf(doubt: Doubt): number {
  const { shares, effectiveReports: n } = doubt;
  if (shares.length === 0 || n === 0) return 0;
  const groups = Math.max(5, shares.length);
  const smooth = (share: number): number => (share * n + 0.5) / (n + 0.5 * groups);
  const first = smooth(shares[0]);
  const second = smooth(shares[1] ?? 0);
  const variance =
    ((first * (1 - first) + second * (1 - second) + 2 * first * second) / (n + 1)) * (1 - Math.min(1, doubt.reportedRatio ?? 0));
  const right = variance <= 0 ? (first > second ? 1 : 0.5) : normalCdf((first - second) / Math.sqrt(variance));
  // Of few reports the estimate of all octets varies by itself: only what chance does not explain is missing.
  const runs = 1 + RUNS * Math.min(1, doubt.reportLossRatio ?? 0);
  const chance = Math.sqrt(((1 - Math.min(1, doubt.reportedRatio ?? 0)) * runs) / Math.max(1, n));
  const coverage = doubt.coverage === null ? 1 : Math.min(1, Math.max(0, (doubt.coverage * (1 + SIGMAS * chance) - 0.3) / 0.5));
  const loss = doubt.coverage === null ? Math.min(1, doubt.reportLossRatio ?? UNKNOWN_LOSS) : 0;
  return right * coverage * doubt.identifiedShare * Math.min(1, doubt.explainedShare / EXPLAINED_SHARE) * (1 - loss / 2);
}

/** Standard normal distribution function; Abramowitz and Stegun 26.2.17, absolute error below 7.5e-8. */
export function normalCdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const poly = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * poly;
  return x >= 0 ? 1 - tail : tail;
}
