// Tallies as measures: each has one stable name, a unit in it where it has one, and is null where nothing was there to be measured.

import type { Hits, Tally } from './tally.ts';

export type Measures = Record<string, number | null>;

const CALIBRATION_BINS = 10;

/** Names of the measures, what is better (`up`, `down`), and one line on each. The names of injected kinds come on top: events.KIND.f1 and so on. */
export const MEASURES = {
  'queue.precision': ['up', 'found queue events that are true'],
  'queue.recall': ['up', 'true queue events that are found'],
  'queue.f1': ['up', 'harmonic mean of both'],
  'queue.fragmentation': ['down', 'found pieces for each true event that was found'],
  'queue.iou': ['up', 'intersection over union of the intervals, mean'],
  'queue.kind': ['up', 'microburst, congestion or sustained, as in truth'],
  'onset.error-p50-ns': ['down', 'difference of the starts, median'],
  'onset.error-p95-ns': ['down', 'the same, 95th percentile'],
  'onset.delay-beyond-floor-p95-ns': ['down', 'how much later than physics allows the opening report was due'],
  'end.error-p50-ns': ['down', 'difference of the ends, median'],
  'end.error-p95-ns': ['down', 'the same, 95th percentile'],
  'wall.delay-p50-ns': ['down', 'from the opening report to the word, median'],
  'wall.delay-p99-ns': ['down', 'the same, 99th percentile'],
  'peak.error-p95': ['down', 'relative error of the peak, 95th percentile'],
  'culprit.precision': ['up', 'octets named that are true, of those named'],
  'culprit.recall': ['up', 'octets named that are true, of the true ones'],
  'culprit.overlap': ['up', 'shares of workloads in the build-up that agree'],
  'culprit.flow-precision': ['up', 'octets of flows named that are true, of those named'],
  'culprit.flow-recall': ['up', 'octets of flows named that are true, of the true ones'],
  'culprit.top1': ['up', 'the first culprit is the true first'],
  'culprit.top3': ['up', 'the true first is among the first three'],
  'cause.top1': ['up', 'the first culprit is the workload that was made to cause it'],
  'counterfactual.top1': ['up', 'the workload without which the queue would be smallest'],
  'counterfactual.error': ['down', 'how much smaller, absolute error against the open loop, mean'],
  'counterfactual.closed-loop-error': ['down', 'the same against the whole run again without the workload'],
  'confidence.brier': ['down', 'squared error of confidence, mean'],
  'confidence.calibration-error': ['down', 'difference of what was said and what was right, mean over ten bins'],
  'victim.recall': ['up', 'workloads with eight harmed packets or more that are named'],
  'victim.recall-limit': ['up', 'those of which chance leaves a report of a harmed packet: nobody can name more'],
  'victim.precision': ['up', 'named victims that were harmed'],
  'victim.kendall-tau': ['up', 'order of the victims by harm, -1 to 1'],
  'hop.p50-error': ['down', 'relative error of the median latency of each queue, mean'],
  'hop.p99-error': ['down', 'of the 99th percentile'],
  'hop.p999-error': ['down', 'of the 99.9th percentile'],
  'slice.p50-error': ['down', 'relative error of the median latency of each slice, mean'],
  'slice.p99-error': ['down', 'of the 99th percentile'],
  'slice.p999-error': ['down', 'of the 99.9th percentile'],
  'slice.bad-share-error': ['down', 'share of packets beyond the budget, absolute error'],
  'identity.right': ['up', 'octets under the right name'],
  'identity.wrong': ['down', 'octets under a wrong name'],
  'identity.unknown': ['down', 'octets without a name'],
  'events.macro-f1': ['up', 'F1 of the injected kinds of events, mean'],
  'incidents.false-severe-per-hour': ['down', 'incidents of severity 3 or more without a reason, per simulated hour'],
  'cost.cpu-seconds-per-million-reports': ['down', 'processor time of the collector'],
  'cost.rss-bytes': ['down', 'memory of the whole process, the fabric included'],
} as const satisfies Record<string, readonly ['up' | 'down', string]>;

export type MeasureName = keyof typeof MEASURES;

export function measuresOf(tally: Tally): Measures {
  const { queue } = tally;
  const precision = ratio(queue.matched, queue.found);
  const recall = ratio(queue.matched, queue.truths);
  const injected = Object.entries(tally.injected);
  const fixed: Record<MeasureName, number | null> = {
    'queue.precision': precision,
    'queue.recall': recall,
    'queue.f1': f1Of(queue),
    'queue.fragmentation': ratio(queue.pieces, queue.matched),
    'queue.iou': mean(tally.iou),
    'queue.kind': share(tally.kind),
    'onset.error-p50-ns': quantile(tally.onsetErrorNs, 0.5),
    'onset.error-p95-ns': quantile(tally.onsetErrorNs, 0.95),
    'onset.delay-beyond-floor-p95-ns': quantile(tally.onsetDelayNs, 0.95),
    'end.error-p50-ns': quantile(tally.endErrorNs, 0.5),
    'end.error-p95-ns': quantile(tally.endErrorNs, 0.95),
    'wall.delay-p50-ns': quantile(tally.wallDelayNs, 0.5),
    'wall.delay-p99-ns': quantile(tally.wallDelayNs, 0.99),
    'peak.error-p95': quantile(tally.peakError, 0.95),
    'culprit.precision': mean(tally.culpritPrecision),
    'culprit.recall': mean(tally.culpritRecall),
    'culprit.overlap': mean(tally.culpritOverlap),
    'culprit.flow-precision': mean(tally.flowPrecision),
    'culprit.flow-recall': mean(tally.flowRecall),
    'culprit.top1': share(tally.top1),
    'culprit.top3': share(tally.top3),
    'cause.top1': share(tally.cause),
    'counterfactual.top1': share(tally.counterfactualTop1),
    'counterfactual.error': mean(tally.counterfactualError),
    'counterfactual.closed-loop-error': mean(tally.closedLoopError),
    'confidence.brier': mean(tally.confidence.map(([said, right]) => (said - right) ** 2)),
    'confidence.calibration-error': calibrationError(tally.confidence),
    'victim.recall': share(tally.victimRecall),
    'victim.recall-limit': mean(tally.victimReported),
    'victim.precision': share(tally.victimPrecision),
    'victim.kendall-tau': mean(tally.victimOrder),
    'hop.p50-error': mean(tally.hopP50Error),
    'hop.p99-error': mean(tally.hopP99Error),
    'hop.p999-error': mean(tally.hopP999Error),
    'slice.p50-error': mean(tally.sliceP50Error),
    'slice.p99-error': mean(tally.sliceP99Error),
    'slice.p999-error': mean(tally.sliceP999Error),
    'slice.bad-share-error': mean(tally.sliceBadShareError),
    'identity.right': mean(tally.identityRight),
    'identity.wrong': mean(tally.identityWrong),
    'identity.unknown': mean(tally.identityUnknown),
    'events.macro-f1': mean(injected.flatMap(([, counts]) => f1Of(counts) ?? [])),
    'incidents.false-severe-per-hour': ratio(tally.falseSevereIncidents * 3600, tally.simulatedSeconds),
    'cost.cpu-seconds-per-million-reports': ratio(tally.cpuSeconds * 1e6, tally.reports),
    'cost.rss-bytes': tally.rssBytes,
  };
  const byKind = injected.flatMap(([kind, counts]) => [
    [`events.${kind}.precision`, ratio(counts.matched, counts.found)],
    [`events.${kind}.recall`, ratio(counts.matched, counts.truths)],
    [`events.${kind}.f1`, f1Of(counts)],
  ]);
  return { ...fixed, ...(Object.fromEntries(byKind) as Measures) };
}

function f1Of({ matched, found, truths }: { matched: number; found: number; truths: number }): number | null {
  return ratio(2 * matched, found + truths);
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

function share({ hits, of }: Hits): number | null {
  return ratio(hits, of);
}

export function mean(values: readonly number[]): number | null {
  return ratio(
    values.reduce((sum, value) => sum + value, 0),
    values.length,
  );
}

function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)];
}

/** Expected calibration error (Naeini et al., 2015): how far confidence is from how often it is right, weighted by how often it is said. */
function calibrationError(said: readonly (readonly [number, number])[]): number | null {
  if (said.length === 0) return null;
  let error = 0;
  for (let bin = 0; bin < CALIBRATION_BINS; bin++) {
    const here = said.filter(([confidence]) => Math.min(CALIBRATION_BINS - 1, Math.floor(confidence * CALIBRATION_BINS)) === bin);
    const sum = (index: 0 | 1): number => here.reduce((total, pair) => total + pair[index], 0);
    error += Math.abs(sum(0) - sum(1)) / said.length;
  }
  return error;
}
