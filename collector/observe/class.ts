// Queues that packets should not be in: hops whose DSCP belongs to another queue, by the classes that the operator wrote down.
// Rule: where no classes are configured, every queue is right.

import { Present, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { queueId: HAS_QUEUE_ID } = Present;
const TAG_ROW_MASK = 0x1_ffff;
const DSCP_VALUES = 64;
const NO_QUEUE = 0xffff_ffff;

/** The queue of each DSCP value; undefined: it is not said. */
export type QueueOfDscp = readonly (number | undefined)[];

export class ClassTable {
  /** By node row: hops in a wrong queue, collector time of the newest, and its DSCP and queue. */
  readonly #hops: Float64Array;
  readonly #lastNs: Float64Array;
  readonly #last: Uint32Array;

  /** For node rows below `rows`. */
  constructor(arena: Arena, rows: number) {
    this.#hops = arena.float64(rows);
    this.#lastNs = arena.float64(rows);
    this.#last = arena.uint32(rows);
  }

  misplaced(nodeRow: number): { hops: number; lastNs: number; dscp: number; queue: number } {
    const last = this.#last[nodeRow];
    return { hops: this.#hops[nodeRow], lastNs: this.#lastNs[nodeRow], dscp: last & 63, queue: last >>> 6 };
  }

  add(nodeRow: number, dscp: number, queue: number, nowNs: number): void {
    this.#hops[nodeRow]++;
    this.#lastNs[nodeRow] = nowNs;
    this.#last[nodeRow] = (queue << 6) | dscp;
  }
}

/** The stage over a batch: counts hops that are in another queue than their DSCP says. */
export function classStage(table: ClassTable, batch: HopBatch, queueOfDscp: QueueOfDscp): () => void {
  const { present, nodeTag, queueId, report: reportOf } = batch;
  const { flowParts, dscp, outerParts, outerDscp } = batch.reports;
  const expected = Uint32Array.from({ length: DSCP_VALUES }, (_, value) => queueOfDscp[value] ?? NO_QUEUE);
  const isAsked = queueOfDscp.some((queue) => queue !== undefined);

  return function observe(): void {
    if (!isAsked) return;
    const nowNs = batch.arrivalNs[0];
    for (let hop = 0; hop < batch.length; hop++) {
      const report = reportOf[hop];
      if (nodeTag[hop] === 0 || (present[hop] & HAS_QUEUE_ID) === 0 || flowParts[report] === 0) continue;
      // Nodes look at the packet that they forward: the outermost.
      const value = outerParts[report] === 0 ? dscp[report] : outerDscp[report];
      const queue = expected[value];
      if (queue !== NO_QUEUE && queue !== queueId[hop]) table.add(nodeTag[hop] & TAG_ROW_MASK, value, queueId[hop], nowNs);
    }
  };
}
