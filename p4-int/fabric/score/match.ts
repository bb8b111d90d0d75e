// Which found event is which true one: one to one, the pair that overlaps most first (science of event matching: Tatbul et al., Precision and Recall for
// Time Series, 2018). Edges may be off by a tolerance.

export interface Interval {
  startNs: number;
  endNs: number;
}

export interface Match {
  truth: number;
  found: number;
  /** Intersection over union of the two intervals. */
  iou: number;
}

export interface Matching {
  matches: Match[];
  /** By true event: found events that lie on it, matched or not. */
  pieces: number[];
}

/** `isSame`: whether two events are about the same thing; `toleranceNs` of a true event. */
export function matchEvents<T extends Interval, F extends Interval>(
  truths: readonly T[],
  found: readonly F[],
  isSame: (truth: T, found: F) => boolean,
  toleranceNs: (truth: T) => number,
): Matching {
  const pairs: (Match & { nearness: number })[] = [];
  const pieces = truths.map(() => 0);
  truths.forEach((truth, t) => {
    const tolerance = toleranceNs(truth);
    found.forEach((one, f) => {
      if (one.startNs > truth.endNs + tolerance || one.endNs < truth.startNs - tolerance || !isSame(truth, one)) return;
      const overlap = Math.min(truth.endNs, one.endNs) - Math.max(truth.startNs, one.startNs);
      if (overlap > 0) pieces[t]++;
      const union = Math.max(truth.endNs, one.endNs) - Math.min(truth.startNs, one.startNs);
      pairs.push({ truth: t, found: f, iou: union <= 0 ? 1 : Math.max(0, overlap) / union, nearness: overlap });
    });
  });
  pairs.sort((a, b) => b.nearness - a.nearness || a.truth - b.truth || a.found - b.found);
  const [takenTruths, takenFound] = [new Set<number>(), new Set<number>()];
  const matches: Match[] = [];
  for (const { truth, found: f, iou } of pairs) {
    if (takenTruths.has(truth) || takenFound.has(f)) continue;
    takenTruths.add(truth);
    takenFound.add(f);
    matches.push({ truth, found: f, iou });
  }
  return { matches, pieces };
}
