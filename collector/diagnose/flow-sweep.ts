// Walks the flow table round and round, a bounded part of it at each poll, and shows each flow that is alive to those who judge by flows.
//
// Rule: this is the only loop over flows on the calm thread; what a detector keeps of a flow is keyed by its row and generation.

import type { PathHop } from '../observe/path.ts';

/** A flow as it stands now. */
export interface FlowVisit {
  row: number;
  generation: number;
  /** Nodes that reported it, the first on its way first; never empty. */
  hops: readonly PathHop[];
  /** Collector time of its newest report, and of the first visit, ms. */
  seenMs: number;
  sinceMs: number;
  /** Octets that it has sent into the fabric, as far as reports stand for them. */
  bytes: number;
}

export interface FlowSources {
  /** Rows in use, row 0 included. */
  rows(): number;
  generationOf(row: number): number;
  hops(row: number, generation: number): PathHop[];
  bytes(row: number, generation: number): number;
  capacity: number;
}

/** At most so many rows are looked at in one poll. */
const ROWS_PER_POLL = 2048;
/** A flow that was not heard of for longer is not alive. */
const ALIVE_MS = 2500;

export class FlowSweep {
  readonly #sources: FlowSources;
  readonly #visit: (flow: FlowVisit, nowNs: number) => void;
  readonly #generation: Uint32Array;
  readonly #sinceMs: Float64Array;
  #next = 1;

  constructor(sources: FlowSources, visit: (flow: FlowVisit, nowNs: number) => void) {
    this.#sources = sources;
    this.#visit = visit;
    this.#generation = new Uint32Array(sources.capacity);
    this.#sinceMs = new Float64Array(sources.capacity);
  }

  poll(nowNs: number): void {
    const rows = this.#sources.rows();
    const nowMs = nowNs / 1e6;
    for (let i = Math.min(rows - 1, ROWS_PER_POLL); i > 0; i--) {
      const row = this.#next < rows ? this.#next : 1;
      this.#next = row + 1;
      this.#look(row, nowMs, nowNs);
    }
  }

  #look(row: number, nowMs: number, nowNs: number): void {
    const generation = this.#sources.generationOf(row);
    const hops = this.#sources.hops(row, generation);
    if (hops.length === 0) return;
    const seenMs = hops.reduce((newest, hop) => Math.max(newest, hop.seenMs), 0);
    if (nowMs - seenMs > ALIVE_MS) return;
    if (this.#generation[row] !== generation) {
      this.#generation[row] = generation;
      this.#sinceMs[row] = nowMs;
    }
    const bytes = this.#sources.bytes(row, generation);
    this.#visit({ row, generation, hops, seenMs, sinceMs: this.#sinceMs[row], bytes }, nowNs);
  }
}
