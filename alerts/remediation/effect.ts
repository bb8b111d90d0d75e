// Did a change help? The same queue before and after it, against what other queues did meanwhile (difference in differences), so that a load
// that went away by itself is nobody's merit. Rule: no data is never success.

/** Counters of queues at a time; differences of two of them are a window. */
export interface QueueCounters {
  atNs: number;
  /** Time above the closing threshold so far, summed over the queues. */
  congestedNs: number;
  reports: number;
  queues: number;
}

export interface Observation {
  queue: QueueCounters;
  /** Queues that the change does not touch. */
  others: QueueCounters;
}

/** Two observations, the later one last. */
export type Window = readonly [Observation, Observation];

export const EFFECTS = ['effective', 'partial', 'none', 'harmful', 'no-data'] as const;
export type Effect = (typeof EFFECTS)[number];

export interface Judged {
  effect: Effect;
  /** Part of the congested time that is gone, 0 to 1; what was predicted is compared with it. Null without data. */
  achieved: number | null;
}

const MIN_REPORTS = 20;
/** Congested share of time from which on there is something to improve. */
const MIN_SHARE = 0.001;
/** Of what was predicted. */
const EFFECTIVE_PART = 0.5;
const PARTIAL = 0.2;
/** Reports must go on coming while a change is watched: where the telemetry fails, congestion only seems to end. */
const MAX_GAP_MS = 3000;
/** Others got worse by more than this factor and this share of time. */
const HARM_FACTOR = 2;
const HARM_SHARE = 0.05;

/** `gapMs` is the longest time without a report while it was watched. */
export function judgeEffect(before: Window, after: Window, predicted: number, gapMs: number): Judged {
  const nothing: Judged = { effect: 'no-data', achieved: null };
  if (gapMs > MAX_GAP_MS) return nothing;
  const [queueBefore, queueAfter] = [shareOf(before, 'queue'), shareOf(after, 'queue')];
  const [othersBefore, othersAfter] = [shareOf(before, 'others') ?? 0, shareOf(after, 'others') ?? 0];
  if (othersAfter > HARM_FACTOR * othersBefore && othersAfter - othersBefore > HARM_SHARE)
    return { effect: 'harmful', achieved: null };
  if (queueBefore === undefined || queueAfter === undefined) return nothing;
  // What the queue would have done as the others did.
  const expected = Math.max(0, queueBefore * (othersBefore > MIN_SHARE ? othersAfter / othersBefore : 1));
  if (expected < MIN_SHARE) return nothing;
  const achieved = Math.max(0, 1 - queueAfter / expected);
  if (achieved >= EFFECTIVE_PART * predicted && achieved >= PARTIAL) return { effect: 'effective', achieved };
  return { effect: achieved >= PARTIAL ? 'partial' : 'none', achieved };
}

/** Share of the time that a queue was congested; undefined where too little is known. */
function shareOf([from, to]: Window, which: 'queue' | 'others'): number | undefined {
  const [begin, end] = [from[which], to[which]];
  const elapsedNs = end.atNs - begin.atNs;
  const queues = Math.min(begin.queues, end.queues);
  if (elapsedNs <= 0 || queues === 0 || end.reports - begin.reports < MIN_REPORTS) return undefined;
  return (end.congestedNs - begin.congestedNs) / elapsedNs / queues;
}
