// Single comparisons of what was found with what is true.

import type { InjectedEvent } from '../scenario.ts';
import type { QueueEvent } from '../truth/queue-event.ts';
import { PS_PER_NS } from '../units.ts';
import type { FoundEvent } from './contestant.ts';

/** A truth that names no interface, slice and so on is about any. */
export function isSameScope(truth: InjectedEvent, found: FoundEvent): boolean {
  return (
    (truth.node === undefined || truth.node === found.node) &&
    (truth.interface === undefined || truth.interface === found.interfaceId) &&
    (truth.queue === undefined || truth.queue === found.queue) &&
    (truth.slice === undefined || truth.slice === found.slice) &&
    (truth.prefix === undefined || truth.prefix === found.prefix) &&
    (truth.workload === undefined || truth.workload === found.workload)
  );
}

export function peakError(event: QueueEvent, found: FoundEvent): number | undefined {
  if (found.peakBytes !== undefined && event.kind !== 'starvation')
    return Math.abs(found.peakBytes - event.peakBytes) / event.peakBytes;
  const peakWaitNs = event.peakWaitPs / PS_PER_NS;
  return found.peakWaitNs === undefined ? undefined : Math.abs(found.peakWaitNs - peakWaitNs) / peakWaitNs;
}

/** Nothing said is as wrong as saying zero. */
export function relativeError(said: number | undefined, truth: number): number {
  return Math.abs((said ?? 0) - truth) / Math.max(1, truth);
}

export function total(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

/** Rank correlation of what both lists have (Kendall, 1938); undefined when that is fewer than two. */
export function kendallTau(truth: readonly string[], said: readonly string[]): number | undefined {
  const common = truth.filter((name) => said.includes(name));
  if (common.length < 2) return undefined;
  let agreement = 0;
  let pairs = 0;
  for (let i = 0; i < common.length; i++) {
    for (let j = i + 1; j < common.length; j++) {
      pairs++;
      agreement += said.indexOf(common[i]) < said.indexOf(common[j]) ? 1 : -1;
    }
  }
  return agreement / pairs;
}
