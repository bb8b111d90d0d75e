// Flows: one row per innermost 5-tuple (and VNI), so that later stages carry a small number instead of addresses.
// A row may pass to another flow after it was idle for long; whoever keeps a row keeps its generation too.
// Rule: report counts are not packet counts under a change filter, so nothing here is called packets.

import { FlowPart, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { KeyTable } from '../memory/key-table.ts';

const IDLE_NS = 30e9;
const KEY_WORDS = 11;

export class FlowTable {
  readonly keys: KeyTable;
  readonly reports: Float64Array;

  constructor(arena: Arena, capacity: number) {
    this.keys = new KeyTable(arena, capacity, KEY_WORDS, IDLE_NS);
    this.reports = arena.float64(this.keys.capacity);
  }

  /** Fills `flowRow` and `flowGeneration` of every report that shows addresses; 0 is "no flow, or no room". */
  observe(batch: HopBatch, nowNs: number): void {
    const r = batch.reports;
    const wanted = this.keys.wanted;
    for (let report = 0; report < r.length; report++) {
      const parts = r.flowParts[report];
      if ((parts & FlowPart.addresses) === 0) continue;
      for (let word = 0; word < 4; word++) {
        wanted[word] = r.sourceAddress[report * 4 + word];
        wanted[4 + word] = r.destinationAddress[report * 4 + word];
      }
      wanted[8] = (parts & FlowPart.ports) !== 0 ? ((r.sourcePort[report] << 16) | r.destinationPort[report]) >>> 0 : 0;
      wanted[9] = r.protocol[report];
      wanted[10] = (parts & FlowPart.vni) !== 0 ? r.vni[report] + 1 : 0;
      const row = this.keys.rowOf(nowNs);
      if (this.keys.isNew && row !== 0) this.reports[row] = 0;
      this.reports[row]++;
      r.flowRow[report] = row;
      r.flowGeneration[report] = this.keys.generation[row];
    }
  }

  /** The 5-tuple of a row as numbers, or undefined when the row has meanwhile gone to another flow. For the calm thread. */
  flowAt(row: number, generation: number): FlowKey | undefined {
    const { keys } = this;
    if (row === 0 || Atomics.load(keys.generation, row) !== generation) return undefined;
    const at = row * KEY_WORDS;
    const words = keys.keys.slice(at, at + KEY_WORDS);
    if (Atomics.load(keys.generation, row) !== generation) return undefined;
    return {
      addresses: words,
      sourcePort: words[8] >>> 16,
      destinationPort: words[8] & 0xffff,
      protocol: words[9],
      vni: words[10] === 0 ? undefined : words[10] - 1,
    };
  }
}

/** A flow's key: `addresses` holds the source at words 0 to 3 and the destination at 4 to 7. */
export interface FlowKey {
  addresses: Uint32Array;
  sourcePort: number;
  destinationPort: number;
  protocol: number;
  vni: number | undefined;
}
