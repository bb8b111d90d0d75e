// Switches that stop reporting while a queue is full: those that report every packet of a congested queue do so for so many packets and no more, until
// the queue has been short again (fabric-tna `int.p4`: 1024). What looks like the end is the end of the reports.
//
// Rule: silence says it only together with the number of reports. A queue that drained would be as silent.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** An open event of a queue whose newest report came because the queue was long. */
export interface OpenQueue {
  row: number;
  place: Place;
  reports: number;
  /** Share of the node's reports that do not arrive. */
  reportLoss: number;
  lastWaitNs: number;
  lastSeenNs: number;
}

const QUOTA = 1024;
const TOLERANCE = 0.1;
const SILENT_NS = 10e6;

export class QuotaDetector {
  readonly #open: () => OpenQueue[];
  readonly #closeWaitNs: number;
  readonly #conditions: ConditionBook;
  /** Places that are being told of, by queue row. */
  readonly #told = new Map<number, Place>();

  constructor(open: () => OpenQueue[], closeWaitNs: number, conditions: ConditionBook) {
    this.#open = open;
    this.#closeWaitNs = closeWaitNs;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    const silent = new Set<number>();
    for (const { row, place, reports, reportLoss, lastWaitNs, lastSeenNs } of this.#open()) {
      const sent = reports / (1 - Math.min(0.95, reportLoss));
      const isSpent = Math.abs(sent - QUOTA) <= QUOTA * TOLERANCE && lastWaitNs >= this.#closeWaitNs;
      if (!isSpent || nowNs - lastSeenNs < Math.max(SILENT_NS, 3 * lastWaitNs)) continue;
      silent.add(row);
      this.#told.set(row, place);
      this.#conditions.raise(
        {
          kind: 'telemetry-degraded',
          place,
          fromNs: lastSeenNs,
          atNs: nowNs,
          severity: 2,
          summary: `the budget of ${QUOTA} reports of a congested queue is spent: nothing is heard of the queue until it has been short`,
          numbers: { reports },
        },
        nowNs,
      );
    }
    for (const [row, place] of this.#told) {
      if (silent.has(row)) continue;
      this.#told.delete(row);
      this.#conditions.end('telemetry-degraded', place, nowNs, nowNs);
    }
  }
}
