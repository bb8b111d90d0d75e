// Nodes that put packets in another queue than the operator's classes say: the map of DSCP values to queues is wrong there.
//
// Rule: what was harmed by it looks like congestion, and is not: the cause is in no queue.

import type { Place } from '../event.ts';
import type { ConditionBook } from './condition.ts';

/** Hops of a node that were in a wrong queue. */
export interface Misplaced {
  row: number;
  place: Place;
  hops: number;
  lastNs: number;
  dscp: number;
  queue: number;
}

/** A packet or two may have been on its way when the map was changed. */
const MIN_HOPS = 3;

export class MisplacedDetector {
  readonly #nodes: () => Misplaced[];
  readonly #conditions: ConditionBook;
  readonly #seen = new Map<number, number>();

  constructor(nodes: () => Misplaced[], conditions: ConditionBook) {
    this.#nodes = nodes;
    this.#conditions = conditions;
  }

  poll(nowNs: number): void {
    for (const { row, place, hops, lastNs, dscp, queue } of this.#nodes()) {
      const before = this.#seen.get(row) ?? 0;
      if (hops === before) continue;
      const more = hops - before;
      if (more < MIN_HOPS && !this.#conditions.isOpen('misclassified', place)) continue;
      this.#seen.set(row, hops);
      this.#conditions.raise(
        {
          kind: 'misclassified',
          place,
          fromNs: lastNs,
          atNs: lastNs,
          severity: 3,
          summary: `packets with DSCP ${dscp} are in queue ${queue}, which is not theirs: the node's map is wrong`,
          numbers: { packets: hops, dscp, queue },
        },
        nowNs,
      );
    }
  }
}
