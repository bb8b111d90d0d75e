// Slices: how long packets took through all nodes, by the slice that their flow belongs to. The calm thread says which slice that is; the hot one adds up.
//
//   hop at the edge of the fabric ─▶ its latency + the newest of the flow's other hops ─▶ histogram of the slice, packets beyond its budget
//
// Rule: latencies of nodes are added, never stamps of two nodes subtracted: clocks do not matter (link delays, which do not vary, are left out).

import type { HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { FINE_BUCKETS, fineBucket, fineQuantileNs } from '../memory/histogram.ts';

/** Row 0 is "no slice, or not known yet". */
const MAX_SLICES = 64;

export class SliceTable {
  /** By flow row: its slice, and the generation of the row that this was said of. */
  readonly sliceOfFlow: Uint8Array;
  readonly generationOfFlow: Uint32Array;
  readonly #counts: Float64Array;
  /** By slice: packets, and those beyond the budget. */
  readonly #packets: Float64Array;
  readonly #late: Float64Array;

  constructor(arena: Arena, flowRows: number) {
    this.sliceOfFlow = arena.uint8(flowRows);
    this.generationOfFlow = arena.uint32(flowRows);
    this.#counts = arena.float64(MAX_SLICES * FINE_BUCKETS);
    this.#packets = arena.float64(MAX_SLICES);
    this.#late = arena.float64(MAX_SLICES);
  }

  /** Says to which slice a flow belongs. For the calm thread. */
  assign(flowRow: number, generation: number, slice: number): void {
    this.sliceOfFlow[flowRow] = slice;
    this.generationOfFlow[flowRow] = generation;
  }

  packets(slice: number): number {
    return this.#packets[slice];
  }

  latePackets(slice: number): number {
    return this.#late[slice];
  }

  add(slice: number, latencyNs: number, packets: number, budgetNs: number): void {
    this.#counts[slice * FINE_BUCKETS + fineBucket(Math.floor(latencyNs))] += packets;
    this.#packets[slice] += packets;
    if (latencyNs > budgetNs) this.#late[slice] += packets;
  }

  /** The latency that a share `q` of the packets do not exceed, within 1 %; NaN when there were none. */
  latencyQuantileNs(slice: number, q: number): number {
    return fineQuantileNs(this.#counts.subarray(slice * FINE_BUCKETS, (slice + 1) * FINE_BUCKETS), q);
  }
}

/** What the stage looks up of a flow: the sum of the newest latencies of its nodes, when `hop` is the last of them; -1 when it is not. See observe/path. */
export type PathLatency = (hop: number) => number;

/** The stage over a batch: adds the latency of packets that leave the fabric to their slice. `budgetsNs`: by slice. */
export function sliceStage(table: SliceTable, batch: HopBatch, budgetsNs: Float64Array, pathLatencyNs: PathLatency): () => void {
  const { report: reportOf } = batch;
  const { flowRow, flowGeneration, representedPackets } = batch.reports;
  const { sliceOfFlow, generationOfFlow } = table;

  return function observe(): void {
    if (budgetsNs.length < 2) return;
    for (let hop = 0; hop < batch.length; hop++) {
      const report = reportOf[hop];
      const flow = flowRow[report];
      if (flow === 0 || generationOfFlow[flow] !== flowGeneration[report] || sliceOfFlow[flow] === 0) continue;
      const latencyNs = pathLatencyNs(hop);
      if (latencyNs < 0) continue;
      const slice = sliceOfFlow[flow];
      table.add(slice, latencyNs, representedPackets[report], budgetsNs[slice]);
    }
  };
}
