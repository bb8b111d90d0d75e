// What a queue would have been without a workload, open loop: the same arrivals again, but its own, through Lindley's recursion (1952); with strict
// priority, the higher levels first, and no packet interrupted. Queues of equal priority are taken as one.

import type { PortLog } from './port-log.ts';

export interface ReplayedQueue {
  /** Rows [first, last) of the log. */
  first: number;
  last: number;
  /** By class: 0 it does not delay the queue, 1 it is the queue's own level, 2 it is served before. */
  rank: Uint8Array;
  cls: number;
  psPerByte: number;
  overheadBytes: number;
}

/** Octets times ps that the packets of the queue wait, when the workload `without` (or nobody: -1) sends nothing. */
export function replayedArea(log: PortLog, queue: ReplayedQueue, without: number): number {
  const own: number[] = [];
  const before: number[] = [];
  for (let row = queue.first; row < queue.last; row++) {
    if (log.owner[row] === without) continue;
    const rank = queue.rank[log.cls[row]];
    if (rank === 1) own.push(row);
    else if (rank === 2) before.push(row);
  }
  const { enqueuedPs } = log;
  let nowPs = 0;
  let area = 0;
  for (let i = 0, j = 0; i < own.length || j < before.length;) {
    const nextOwn = i < own.length ? enqueuedPs[own[i]] : Infinity;
    const nextBefore = j < before.length ? enqueuedPs[before[j]] : Infinity;
    nowPs = Math.max(nowPs, Math.min(nextOwn, nextBefore));
    const row = nextBefore <= nowPs ? before[j++] : own[i++];
    if (log.cls[row] === queue.cls) area += log.bytes[row] * (nowPs - enqueuedPs[row]);
    nowPs += (log.bytes[row] + queue.overheadBytes) * queue.psPerByte;
  }
  return area;
}
