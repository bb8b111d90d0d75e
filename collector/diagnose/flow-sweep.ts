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
  /** Octets per ns that it sends into the fabric, over the last second or so, as far as reports stand for them. */
  bytesPerNs: number;
}

export interface FlowSources {
  /** Rows in use, row 0 included. */
  rows(): number;
  generationOf(row: number): number;
  hops(row: number, generation: number, nowMs: number): PathHop[];
  bytes(row: number, generation: number): number;
  capacity: number;
}

/** At most so many rows are looked at in one poll, or this share of the table: all of them within a second. */
const [ROWS_PER_POLL, SHARE_PER_POLL] = [2048, 1 / 32];
/** How quickly the pace of a flow is believed to change, and the shortest time that it is measured over. */
const [PACE_MS, MIN_PACE_MS] = [1000, 50];
/** A flow that was not heard of for longer is not alive. */
const ALIVE_MS = 2500;

export class FlowSweep {
  readonly #sources: FlowSources;
  readonly #visit: (flow: FlowVisit, nowNs: number) => void;
  readonly #generation: Uint32Array;
  readonly #sinceMs: Float64Array;
  /** By row: octets by the visit before, when that was, and octets per ns as they used to be. */
  readonly #bytes: Float64Array;
  readonly #visitedMs: Float64Array;
  readonly #bytesPerNs: Float64Array;
  #next = 1;

  constructor(sources: FlowSources, visit: (flow: FlowVisit, nowNs: number) => void) {
    this.#sources = sources;
    this.#visit = visit;
    this.#generation = new Uint32Array(sources.capacity);
    this.#sinceMs = new Float64Array(sources.capacity);
    this.#bytes = new Float64Array(sources.capacity);
    this.#visitedMs = new Float64Array(sources.capacity);
    this.#bytesPerNs = new Float64Array(sources.capacity);
  }

  poll(nowNs: number): void {
    const rows = this.#sources.rows();
    const nowMs = nowNs / 1e6;
    for (let i = Math.min(rows - 1, Math.max(ROWS_PER_POLL, Math.ceil(rows * SHARE_PER_POLL))); i > 0; i--) {
      const row = this.#next < rows ? this.#next : 1;
      this.#next = row + 1;
      this.#look(row, nowMs, nowNs);
    }
  }

  #look(row: number, nowMs: number, nowNs: number): void {
    const generation = this.#sources.generationOf(row);
    const hops = this.#sources.hops(row, generation, nowMs);
    if (hops.length === 0) return;
    const seenMs = hops.reduce((newest, hop) => Math.max(newest, hop.seenMs), 0);
    if (nowMs - seenMs > ALIVE_MS) return;
    if (this.#generation[row] !== generation) {
      this.#generation[row] = generation;
      this.#sinceMs[row] = nowMs;
      this.#bytesPerNs[row] = 0;
      this.#bytes[row] = this.#sources.bytes(row, generation);
      this.#visitedMs[row] = nowMs;
    }
    const bytes = this.#sources.bytes(row, generation);
    this.#learnPace(row, bytes, nowMs);
    const [sinceMs, bytesPerNs] = [this.#sinceMs[row], this.#bytesPerNs[row]];
    this.#visit({ row, generation, hops, seenMs, sinceMs, bytesPerNs }, nowNs);
  }

  /** Octets per ns that the flow used to send, over the last second or so; 0 when it was not seen before. */
  paceOf(row: number, generation: number): number {
    return this.#generation[row] === generation ? this.#bytesPerNs[row] : 0;
  }

  #learnPace(row: number, bytes: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#visitedMs[row];
    if (elapsedMs < MIN_PACE_MS) return;
    const perNs = (bytes - this.#bytes[row]) / (elapsedMs * 1e6);
    this.#bytesPerNs[row] += (1 - Math.exp(-elapsedMs / PACE_MS)) * (perNs - this.#bytesPerNs[row]);
    this.#bytes[row] = bytes;
    this.#visitedMs[row] = nowMs;
  }
}
