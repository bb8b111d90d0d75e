// Egress interfaces: one row per (node, interface) with the octets that left by it, what lies behind it, and how packets fare on the way there.
//
//   hop ─▶ row of its interface ─▶ octets        packet histories (observe/stitch) ─▶ neighbour · followed · unseen · resent · least delay
//
// Rule: a delay here is the difference of two clocks that nobody has set. Only how it moves says something; see diagnose/link-clocks.

import { Present, ReportFlag, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { KeyTable, rowLayout } from '../memory/key-table.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const { egressInterfaceId: HAS_EGRESS_INTERFACE_ID } = Present;
const { dropped: FLAG_DROPPED } = ReportFlag;

/** Node tag, interface. */
const KEY_WORDS = 2;
const FIELDS = 10;
const LAYOUT = rowLayout(KEY_WORDS, FIELDS);
const { rowDoubles: ROW_DOUBLES } = LAYOUT;
const [BYTES, PEER_TAG, PEER_INTERFACE, PEER_VOTES, FOLLOWED, UNSEEN, RESENT, LAST_NS, BYTES_PER_NS, REPORTS] = Array.from(
  { length: FIELDS },
  (_, field) => LAYOUT.fields + field,
);
/** An interface that nothing has left by for so long may lose its row to another. */
const IDLE_NS = 600e9;
/** The least delays of the newest slots of time are kept. */
export const DELAY_SLOT_NS = 50e6;
export const DELAY_SLOTS = 64;
/** A neighbour is believed when so many more packets went there than anywhere else. */
const MIN_PEER_VOTES = 3;
const MAX_PEER_VOTES = 64;

/** What lies behind an interface. */
export interface Peer {
  nodeTag: number;
  ingressInterfaceId: number;
}

export class PortTable {
  readonly keys: KeyTable;
  /** The same memory as the rows of `keys`. */
  readonly #n: Float64Array;
  /** By row and slot: the slot's number plus one, and the least delay in it, ns. */
  readonly #delays: Float64Array;

  constructor(arena: Arena, capacity: number, secret: Uint32Array) {
    this.keys = new KeyTable(arena, capacity, LAYOUT, IDLE_NS, secret);
    this.#n = this.keys.doubles;
    this.#delays = arena.float64((capacity + 1) * DELAY_SLOTS * 2);
  }

  /** Octets of IP that left by it, as far as reports stand for them. */
  bytes(row: number): number {
    return this.#n[row * ROW_DOUBLES + BYTES];
  }

  /** Reports of packets that left by it. */
  reports(row: number): number {
    return this.#n[row * ROW_DOUBLES + REPORTS];
  }

  /** Rate of the line, octets per ns; 0 when it is not known. */
  bytesPerNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + BYTES_PER_NS];
  }

  /** Collector time of its newest hop, ns. */
  lastNs(row: number): number {
    return this.#n[row * ROW_DOUBLES + LAST_NS];
  }

  /** The neighbour, once enough packets were seen to go there. */
  peer(row: number): Peer | undefined {
    const base = row * ROW_DOUBLES;
    if (this.#n[base + PEER_VOTES] < MIN_PEER_VOTES) return undefined;
    return { nodeTag: this.#n[base + PEER_TAG], ingressInterfaceId: this.#n[base + PEER_INTERFACE] };
  }

  /** Octets that reports do not tell by themselves, see observe/held-back. */
  addBytes(row: number, bytes: number): void {
    this.#n[row * ROW_DOUBLES + BYTES] += bytes;
  }

  hasPeer(row: number): boolean {
    return this.#n[row * ROW_DOUBLES + PEER_VOTES] >= MIN_PEER_VOTES;
  }

  isPeer(row: number, nodeTag: number, ingressInterfaceId: number): boolean {
    const base = row * ROW_DOUBLES;
    return this.#n[base + PEER_TAG] === nodeTag && this.#n[base + PEER_INTERFACE] === ingressInterfaceId && this.hasPeer(row);
  }

  /** Packets that were seen at the neighbour after they had left here. */
  followed(row: number): number {
    return this.#n[row * ROW_DOUBLES + FOLLOWED];
  }

  /** Packets that left here, and that no further node has told of. */
  unseen(row: number): number {
    return this.#n[row * ROW_DOUBLES + UNSEEN];
  }

  /** Packets that had got as far as here, and were sent again. */
  resent(row: number): number {
    return this.#n[row * ROW_DOUBLES + RESENT];
  }

  /** Least delay to the neighbour in a slot of time, ns between two clocks; undefined when no packet was followed in it. */
  leastDelayNs(row: number, slot: number): number | undefined {
    const at = (row * DELAY_SLOTS + (slot % DELAY_SLOTS)) * 2;
    return this.#delays[at] === slot + 1 ? this.#delays[at + 1] : undefined;
  }

  /** A packet went from here to that neighbour. */
  votePeer(row: number, nodeTag: number, ingressInterfaceId: number): void {
    const n = this.#n;
    const base = row * ROW_DOUBLES;
    if (n[base + PEER_TAG] === nodeTag && n[base + PEER_INTERFACE] === ingressInterfaceId) {
      if (n[base + PEER_VOTES] < MAX_PEER_VOTES) n[base + PEER_VOTES]++;
    } else if (n[base + PEER_VOTES] > 0) n[base + PEER_VOTES]--;
    else {
      n[base + PEER_TAG] = nodeTag;
      n[base + PEER_INTERFACE] = ingressInterfaceId;
      n[base + PEER_VOTES] = 1;
    }
  }

  /** The same packet was seen here and, `delayNs` later by the two clocks, at the neighbour; putting it on the line takes a part of that. */
  follow(row: number, delayNs: number, lengthBytes: number, atNs: number): void {
    this.#n[row * ROW_DOUBLES + FOLLOWED]++;
    const rate = this.#n[row * ROW_DOUBLES + BYTES_PER_NS];
    if (rate > 0) delayNs -= lengthBytes / rate;
    const slot = Math.floor(atNs / DELAY_SLOT_NS);
    const at = (row * DELAY_SLOTS + (slot % DELAY_SLOTS)) * 2;
    const delays = this.#delays;
    if (delays[at] !== slot + 1) {
      delays[at] = slot + 1;
      delays[at + 1] = delayNs;
    } else if (delayNs < delays[at + 1]) delays[at + 1] = delayNs;
  }

  /** A packet left here and was not seen again. */
  miss(row: number): void {
    this.#n[row * ROW_DOUBLES + UNSEEN]++;
  }

  /** A packet that had come as far as this was sent again. */
  missResent(row: number): void {
    this.#n[row * ROW_DOUBLES + RESENT]++;
  }
}

/**
 * The stage over a batch: fills `portRow` of every hop that names its egress interface, and counts what left. `portRates`: octets per ns by node id and
 * interface, where they are not those of the source.
 */
export function portStage(
  ports: PortTable,
  batch: HopBatch,
  portRates: ReadonlyMap<number, ReadonlyMap<number, number>>,
): () => void {
  const { keys } = ports;
  const { doubles: n, wanted } = keys;
  const { present, nodeId, nodeTag, egressInterfaceId, portRow, report: reportOf } = batch;
  const { flags, packetLengthBytes, representedPackets, datagram: datagramOf } = batch.reports;
  const { portBytesPerNs, isFiltered } = batch.datagrams;

  return function observe(): void {
    const nowNs = batch.arrivalNs[0];
    for (let hop = 0; hop < batch.length; hop++) {
      portRow[hop] = 0;
      if (nodeTag[hop] === 0 || (present[hop] & HAS_EGRESS_INTERFACE_ID) === 0) continue;
      wanted[0] = nodeTag[hop];
      wanted[1] = egressInterfaceId[hop];
      const row = keys.rowOfWanted(nowNs);
      const base = row * ROW_DOUBLES;
      if (keys.isNew) {
        n.fill(0, base + LAYOUT.fields, base + LAYOUT.fields + FIELDS);
        const own = portRates.get(nodeId[hop])?.get(egressInterfaceId[hop]) ?? 0;
        n[base + BYTES_PER_NS] = own > 0 ? own : portBytesPerNs[datagramOf[reportOf[hop]]];
      }
      portRow[hop] = row;
      const report = reportOf[hop];
      if ((flags[report] & FLAG_DROPPED) !== 0) continue;
      // Of filtered reports observe/held-back knows how much they stand for.
      if (isFiltered[datagramOf[report]] === 0) n[base + BYTES] += packetLengthBytes[report] * representedPackets[report];
      n[base + REPORTS]++;
      n[base + LAST_NS] = nowNs;
    }
  };
}
