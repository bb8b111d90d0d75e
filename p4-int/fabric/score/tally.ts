// What one contestant got right and wrong in one run: counts and lists that add up over seeds.

/** Right among so many. */
export interface Hits {
  hits: number;
  of: number;
}

export interface Tally {
  queue: { matched: number; found: number; truths: number; pieces: number };
  /** Kinds of matched queue events that are as they were in truth. */
  kind: Hits;
  iou: number[];
  onsetErrorNs: number[];
  endErrorNs: number[];
  onsetDelayNs: number[];
  wallDelayNs: number[];
  peakError: number[];
  culpritPrecision: number[];
  culpritRecall: number[];
  culpritOverlap: number[];
  flowPrecision: number[];
  flowRecall: number[];
  top1: Hits;
  top3: Hits;
  /** The first culprit is the workload that was made to cause it. */
  cause: Hits;
  counterfactualTop1: Hits;
  counterfactualError: number[];
  closedLoopError: number[];
  /** Confidence of each named culprit, and whether it was right (1) or not. */
  confidence: [number, number][];
  victimRecall: Hits;
  /** Chance of each victim that one of its harmed packets is reported at all, where packets are lost or left out by chance. */
  victimReported: number[];
  victimPrecision: Hits;
  victimOrder: number[];
  hopP50Error: number[];
  hopP99Error: number[];
  hopP999Error: number[];
  sliceP50Error: number[];
  sliceP99Error: number[];
  sliceP999Error: number[];
  sliceBadShareError: number[];
  /** Shares of octets whose owner was named rightly, wrongly, or not. */
  identityRight: number[];
  identityWrong: number[];
  identityUnknown: number[];
  /** Injected events by kind. */
  injected: Record<string, { matched: number; found: number; truths: number }>;
  falseSevereIncidents: number;
  simulatedSeconds: number;
  cpuSeconds: number;
  reports: number;
  rssBytes: number;
}

export function newTally(): Tally {
  const hits = (): Hits => ({ hits: 0, of: 0 });
  return {
    queue: { matched: 0, found: 0, truths: 0, pieces: 0 },
    kind: hits(),
    iou: [],
    onsetErrorNs: [],
    endErrorNs: [],
    onsetDelayNs: [],
    wallDelayNs: [],
    peakError: [],
    culpritPrecision: [],
    culpritRecall: [],
    culpritOverlap: [],
    flowPrecision: [],
    flowRecall: [],
    top1: hits(),
    top3: hits(),
    cause: hits(),
    counterfactualTop1: hits(),
    counterfactualError: [],
    closedLoopError: [],
    confidence: [],
    victimRecall: hits(),
    victimReported: [],
    victimPrecision: hits(),
    victimOrder: [],
    hopP50Error: [],
    hopP99Error: [],
    hopP999Error: [],
    sliceP50Error: [],
    sliceP99Error: [],
    sliceP999Error: [],
    sliceBadShareError: [],
    identityRight: [],
    identityWrong: [],
    identityUnknown: [],
    injected: {},
    falseSevereIncidents: 0,
    simulatedSeconds: 0,
    cpuSeconds: 0,
    reports: 0,
    rssBytes: 0,
  };
}

/** Several runs as one: counts are added, lists joined, of memory the most. */
export function pooled(tallies: readonly Tally[]): Tally {
  const sum = newTally();
  for (const tally of tallies) addInto(sum as unknown as Sums, tally as unknown as Sums);
  sum.rssBytes = Math.max(0, ...tallies.map(({ rssBytes }) => rssBytes));
  return sum;
}

interface Sums {
  [name: string]: number | unknown[] | Sums;
}

function addInto(sum: Sums, more: Sums): void {
  for (const [name, value] of Object.entries(more)) {
    const into = sum[name];
    if (typeof value === 'number') sum[name] = ((into as number | undefined) ?? 0) + value;
    else if (Array.isArray(value)) (sum[name] as unknown[]) = [...((into as unknown[] | undefined) ?? []), ...value];
    else addInto((sum[name] ??= {}) as Sums, value);
  }
}
