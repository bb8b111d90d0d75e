// How much of what a node reports gets here: sequence gaps over the last five to ten seconds, per node.
// Rule: loss goes into every verdict's confidence; a node without a counter of its own answers with the loss of all, and a counter
// that never moves, or moves without order, with "not known".

import type { SequenceTable } from '../observe/sequence.ts';

const WINDOW_NS = 5e9;
const NODE_ID_WORD = 4;

export class ReportLoss {
  readonly #sources: SequenceTable;
  #since = new Map<number, { expected: number; received: number }>();
  #previous = new Map<number, { expected: number; received: number }>();
  #turnedNs = -Infinity;

  constructor(sources: SequenceTable) {
    this.#sources = sources;
  }

  /** Turns the window over when it is old enough. Call it regularly with collector time. */
  advance(nowNs: number): void {
    if (nowNs - this.#turnedNs < WINDOW_NS) return;
    this.#turnedNs = nowNs;
    this.#previous = this.#since;
    this.#since = new Map();
    const sources = this.#sources;
    for (const row of sources.keys.usedRows()) {
      this.#since.set(row, { expected: sources.expected(row), received: sources.received(row) });
    }
  }

  /** Loss ratio 0 to 1 of the exporter with this node id; of all exporters when none has it; null when nobody counts. */
  ratioOf(nodeId: number): number | null {
    const { keys } = this.#sources;
    return this.#ratio((row) => keys.keyWord(row, NODE_ID_WORD) === nodeId) ?? this.#ratio(() => true) ?? null;
  }

  #ratio(matches: (row: number) => boolean): number | undefined {
    const sources = this.#sources;
    let expectedSum = 0;
    let receivedSum = 0;
    let found = false;
    for (const row of sources.keys.usedRows()) {
      if (sources.uncounted(row) !== 0 || !matches(row)) continue;
      const before = this.#previous.get(row);
      // A row that counts less than before has passed to another source.
      const from = before === undefined || before.expected > sources.expected(row) ? { expected: 0, received: 0 } : before;
      found = true;
      expectedSum += sources.expected(row) - from.expected;
      receivedSum += sources.received(row) - from.received;
    }
    if (!found) return undefined;
    return expectedSum <= 0 ? 0 : Math.min(1, Math.max(0, 1 - receivedSum / expectedSum));
  }
}
