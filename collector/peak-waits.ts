// Peak wait per queue over the last one to two windows, whoever asks and how often.

import type { QueueTable } from './observe/queue.ts';

const WINDOW_MS = 15_000;

export class PeakWaits {
  readonly #queues: QueueTable;
  readonly #previous: Float64Array;
  #turnedMs = 0;

  constructor(queues: QueueTable) {
    this.#queues = queues;
    this.#previous = new Float64Array(queues.keys.capacity);
  }

  /** Starts a new window when the current one is old enough. */
  advance(nowMs: number): void {
    if (nowMs - this.#turnedMs < WINDOW_MS) return;
    this.#turnedMs = nowMs;
    for (let row = 0; row <= this.#queues.keys.totals[0]; row++) this.#previous[row] = this.#queues.takePeakWaitNs(row);
  }

  /** Nanoseconds, of the queue in this row. */
  of(row: number): number {
    return Math.max(this.#previous[row], this.#queues.peakWaitNs(row));
  }
}
