// Who sends to us: one row per admitted sender address with the books of its datagrams and its rate limit, and one row per network of
// strangers, so that a flood of invented addresses costs a bounded table and no admitted sender its row.
// Rule: nothing is ever answered; whoever is turned away is counted. With several ingest threads each has such a table.

import type { Arena } from '../memory/arena.ts';
import { KeyTable, rowLayout } from '../memory/key-table.ts';

const ADDRESS_WORDS = 4;
const LAYOUT = rowLayout(ADDRESS_WORDS, 8);
const { rowDoubles: ROW_DOUBLES } = LAYOUT;
const STRANGER_LAYOUT = rowLayout(ADDRESS_WORDS, 1);

/** What is counted of an exporter's datagrams, by field. Received = decoded + rejected + late + rateLimited + faults of ours. */
export const ExporterCount = { received: 0, bytes: 1, decoded: 2, rejected: 3, late: 4, rateLimited: 5 } as const;
const TOKENS = LAYOUT.fields + 6;
const TOKENS_AT_NS = LAYOUT.fields + 7;

export class ExporterTable {
  declare readonly keys: KeyTable;
  /** Strangers by network: /24 of IPv4, /48 of IPv6. */
  declare readonly strangers: KeyTable;

  constructor(arena: Arena, capacity: number, strangers: number, secret: Uint32Array) {
    // The longest unheard makes room at once: what it sent stays in the totals of all.
    this.keys = new KeyTable(arena, capacity, LAYOUT, 0, secret);
    this.strangers = new KeyTable(arena, strangers, STRANGER_LAYOUT, 0, secret);
  }

  /** Row of an admitted sender, whose books begin anew when it comes from another (`keys.isNew` then). */
  rowOf(address: Uint32Array, nowNs: number): number {
    const row = this.keys.rowOf(this.keys.hashOf(address, 0), address, 0, nowNs);
    if (this.keys.isNew) this.keys.doubles.fill(0, row * ROW_DOUBLES + LAYOUT.fields, (row + 1) * ROW_DOUBLES);
    return row;
  }

  /** The sender in this row was heard of again. */
  touch(row: number, nowNs: number): void {
    this.keys.doubles[row * ROW_DOUBLES + LAYOUT.lastSeenNs] = nowNs;
  }

  count(row: number, count: number, by: number): void {
    this.keys.doubles[row * ROW_DOUBLES + LAYOUT.fields + count] += by;
  }

  counted(row: number, count: number): number {
    return this.keys.doubles[row * ROW_DOUBLES + LAYOUT.fields + count];
  }

  /** Takes one datagram from the sender's allowance of `perSecond`, of which a second's worth may be saved up; false when it is used up. */
  spend(row: number, perSecond: number, nowNs: number): boolean {
    const n = this.keys.doubles;
    const base = row * ROW_DOUBLES;
    const since = n[base + TOKENS_AT_NS];
    const earned = since === 0 ? perSecond : (Math.max(0, nowNs - since) * perSecond) / 1e9;
    const tokens = Math.min(perSecond, n[base + TOKENS] + earned);
    n[base + TOKENS_AT_NS] = nowNs;
    n[base + TOKENS] = tokens >= 1 ? tokens - 1 : tokens;
    return tokens >= 1;
  }

  /** Counts a datagram of a sender that is not admitted. */
  turnAway(address: Uint32Array, nowNs: number): void {
    const { strangers } = this;
    const { wanted } = strangers;
    const isV4 = address[0] === 0 && address[1] === 0 && address[2] === 0xffff;
    wanted[0] = address[0];
    wanted[1] = isV4 ? 0 : address[1] & 0xffff0000;
    wanted[2] = isV4 ? 0xffff : 0;
    wanted[3] = isV4 ? address[3] & 0xffffff00 : 0;
    const row = strangers.rowOfWanted(nowNs);
    const at = row * STRANGER_LAYOUT.rowDoubles + STRANGER_LAYOUT.fields;
    if (strangers.isNew) strangers.doubles[at] = 0;
    strangers.doubles[at]++;
  }

  /** Datagrams of the strangers in a row. */
  turnedAway(row: number): number {
    return this.strangers.doubles[row * STRANGER_LAYOUT.rowDoubles + STRANGER_LAYOUT.fields];
  }
}
