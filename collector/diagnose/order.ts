// Arrivals of a log by time. Reports come in the order in which packets left, which for one queue is the order in which they came: mostly there is nothing
// to sort, and what was sorted once is kept as long as the log.

import type { ArrivalLog } from '../memory/arrivals.ts';

const known = new WeakMap<ArrivalLog, Uint32Array>();

/** Indices of the log's arrivals, the earliest first. */
export function timeOrderOf(log: ArrivalLog): Uint32Array {
  const before = known.get(log);
  if (before !== undefined) return before;
  const order = orderOf(log.enqueueNodeNs, log.length);
  known.set(log, order);
  return order;
}

/** Indices of the first `length` times, the earliest first. */
export function orderOf(times: Float64Array, length = times.length): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  return isInOrder(times, length) ? order : order.sort((a, b) => times[a] - times[b]);
}

export function isInOrder(times: Float64Array, length = times.length): boolean {
  for (let i = 1; i < length; i++) if (!(times[i - 1] <= times[i])) return false;
  return true;
}

/** Generations of a flow's row that are told apart within one log. */
const GENERATIONS = 1024;

/** Tells the flows of a log apart. */
export function flowKeyOf(log: ArrivalLog, arrival: number): number {
  return log.flowRow[arrival] * GENERATIONS + (log.flowGeneration[arrival] % GENERATIONS);
}
