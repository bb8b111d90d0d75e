// Arrivals of a log by time. Reports come in the order in which packets left, which for one queue is the order in which they came: mostly there is nothing
// to sort, and what was sorted once is kept as long as the log.

import type { ArrivalLog } from '../memory/arrivals.ts';

const known = new WeakMap<ArrivalLog, Uint32Array>();

/** Indices of the log's arrivals, the earliest first. */
export function timeOrderOf(log: ArrivalLog): Uint32Array {
  const before = known.get(log);
  if (before !== undefined) return before;
  const order = Uint32Array.from({ length: log.length }, (_, i) => i);
  const { enqueueNodeNs } = log;
  const isInOrder = order.every((i) => i === 0 || enqueueNodeNs[i - 1] <= enqueueNodeNs[i]);
  if (!isInOrder) order.sort((a, b) => enqueueNodeNs[a] - enqueueNodeNs[b]);
  known.set(log, order);
  return order;
}

/** Generations of a flow's row that are told apart within one log. */
const GENERATIONS = 1024;

/** Tells the flows of a log apart. */
export function flowKeyOf(log: ArrivalLog, arrival: number): number {
  return log.flowRow[arrival] * GENERATIONS + (log.flowGeneration[arrival] % GENERATIONS);
}
