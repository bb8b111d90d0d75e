// Interfaces: one row per (node, interface) with the counters that its agent tells. Totals go on over the wrap of a 32-bit counter; a
// counter that began again counts from where it begins.
// Rule: what an agent does not tell stays unknown; it is not zero.

import { LINK_COUNTERS, LinkCounter, LinkStatus, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { KeyTable, rowLayout } from '../memory/key-table.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const COUNTERS = LINK_COUNTERS;
const { speedBitsPerSecond: SPEED } = LinkCounter;

/** Node tag, interface. */
const KEY_WORDS = 2;
const LAYOUT = rowLayout(KEY_WORDS, 1 + 2 * COUNTERS);
const { rowDoubles: ROW_DOUBLES } = LAYOUT;
const STATUS = LAYOUT.fields;
/** As last told, and the totals that came of it. */
const NEWEST = STATUS + 1;
const TOTALS = NEWEST + COUNTERS;
const TWO_32 = 0x1_0000_0000;
/** An interface without news for so long may lose its row to another. */
const IDLE_NS = 600e9;

export class LinkTable {
  readonly keys: KeyTable;

  constructor(arena: Arena, capacity: number, secret: Uint32Array) {
    this.keys = new KeyTable(arena, capacity, LAYOUT, IDLE_NS, secret);
  }

  /** Total of a counter (see LinkCounter) of the interface in this row, or its speed; undefined where the agent does not tell. */
  total(row: number, counter: number): number | undefined {
    const value = this.keys.doubles[row * ROW_DOUBLES + TOTALS + counter];
    return value < 0 ? undefined : value;
  }

  /** Whether the interface can carry packets; undefined where the agent does not tell. */
  isUp(row: number): boolean | undefined {
    const status = this.keys.doubles[row * ROW_DOUBLES + STATUS];
    return status === LinkStatus.unknown ? undefined : (status & LinkStatus.operationalUp) !== 0;
  }
}

/** The stage over a batch: brings the rows of its interfaces up to what their agents told. */
export function linkStage(links: LinkTable, batch: HopBatch): () => void {
  const { keys } = links;
  const { doubles: n, wanted } = keys;
  const { nodeTag, interfaceId, status, counters } = batch.links;

  function observe(): void {
    const nowNs = batch.arrivalNs[0];
    for (let link = 0; link < batch.links.length; link++) {
      if (nodeTag[link] === 0) continue;
      wanted[0] = nodeTag[link];
      wanted[1] = interfaceId[link];
      const row = keys.rowOfWanted(nowNs);
      if (row === 0) continue;
      const base = row * ROW_DOUBLES;
      if (keys.isNew) n.fill(-1, base + NEWEST, base + TOTALS + COUNTERS);
      n[base + STATUS] = status[link];
      for (let counter = 0; counter < COUNTERS; counter++) count(base, counter, counters[link * COUNTERS + counter]);
    }
  }

  function count(base: number, counter: number, value: number): void {
    if (value < 0) return;
    const newest = n[base + NEWEST + counter];
    n[base + NEWEST + counter] = value;
    if (counter === SPEED || newest < 0) {
      n[base + TOTALS + counter] = value;
      return;
    }
    // A counter of 32 bits that wrapped goes on; one that fell otherwise began again.
    const isWrap = newest < TWO_32 && newest - value > TWO_32 / 2;
    n[base + TOTALS + counter] += value >= newest ? value - newest : isWrap ? value - newest + TWO_32 : value;
  }

  return observe;
}
