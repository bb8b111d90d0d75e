// Drops that switches tell of: one row per (node, egress interface, reason), with a sketch of the flows that lost packets.
// Rule: switches limit drop reports to one per flow and second. What is counted here is a lower bound and never "packets lost".

import { Present, ReportFlag, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { KeyTable, rowLayout } from '../memory/key-table.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { dropReason: HAS_DROP_REASON, egressInterfaceId: HAS_EGRESS_INTERFACE_ID } = Present;
const { dropped: FLAG_DROPPED } = ReportFlag;

/** Node tag, interface (0: none had been chosen), reason as the source numbers it (0: it does not say). */
const KEY_WORDS = 3;
const SKETCH_DOUBLES = 4;
const LAYOUT = rowLayout(KEY_WORDS, 2 + SKETCH_DOUBLES);
const { rowDoubles: ROW_DOUBLES, rowWords: ROW_WORDS } = LAYOUT;
const [REPORTS, LAST_NS] = [LAYOUT.fields, LAYOUT.fields + 1];
const SKETCH_WORDS = (LAYOUT.fields + 2) * 2;
const SKETCH_BITS = SKETCH_DOUBLES * 64;
const IDLE_NS = 600e9;

export class DropTable {
  readonly keys: KeyTable;

  constructor(arena: Arena, capacity: number, secret: Uint32Array) {
    this.keys = new KeyTable(arena, capacity, LAYOUT, IDLE_NS, secret);
  }

  reports(row: number): number {
    return this.keys.doubles[row * ROW_DOUBLES + REPORTS];
  }

  /** Collector time of the newest report of the row, ns. */
  lastNs(row: number): number {
    return this.keys.doubles[row * ROW_DOUBLES + LAST_NS];
  }

  /** Flows that lost packets, about (linear counting, Whang and others 1990); it tells some hundred apart. */
  flows(row: number): number {
    let empty = 0;
    for (let word = 0; word < SKETCH_BITS / 32; word++) {
      for (let bits = ~this.keys.words[row * ROW_WORDS + SKETCH_WORDS + word]; bits !== 0; bits &= bits - 1) empty++;
    }
    return Math.round(SKETCH_BITS * Math.log(SKETCH_BITS / Math.max(1, empty)));
  }
}

/** The stage over a batch: counts the hops of its drop reports. */
export function dropStage(drops: DropTable, batch: HopBatch): () => void {
  const { keys } = drops;
  const { doubles: n, words, wanted } = keys;
  const { present, nodeTag, egressInterfaceId, dropReason, report: reportOf } = batch;
  const { flags, flowHash } = batch.reports;

  return function observe(): void {
    const nowNs = batch.arrivalNs[0];
    for (let hop = 0; hop < batch.length; hop++) {
      if ((flags[reportOf[hop]] & FLAG_DROPPED) === 0 || nodeTag[hop] === 0) continue;
      wanted[0] = nodeTag[hop];
      wanted[1] = (present[hop] & HAS_EGRESS_INTERFACE_ID) !== 0 ? egressInterfaceId[hop] : 0;
      wanted[2] = (present[hop] & HAS_DROP_REASON) !== 0 ? dropReason[hop] : 0;
      const row = keys.rowOfWanted(nowNs);
      const base = row * ROW_DOUBLES;
      if (keys.isNew) {
        n.fill(0, base + LAYOUT.fields, base + LAYOUT.fields + 2 + SKETCH_DOUBLES);
      }
      n[base + REPORTS]++;
      n[base + LAST_NS] = nowNs;
      const bit = flowHash[reportOf[hop]] % SKETCH_BITS;
      words[row * ROW_WORDS + SKETCH_WORDS + (bit >>> 5)] |= 1 << (bit & 31);
    }
  };
}
