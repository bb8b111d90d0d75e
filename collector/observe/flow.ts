// Flows: one row per innermost 5-tuple (and tunnel), so that later stages carry a small number instead of addresses.
// The outermost packet of a flow in a tunnel is kept beside it, once for all flows between the same two ends.
// When there is no room, a row passes to another flow after it was idle for a while; whoever keeps a row keeps its generation too. A flow that was reported
// only once makes room much earlier: a flood of them cannot keep out a flow that matters.
// Rule: report counts are not packet counts under a change filter, so nothing here is called packets.

import { FLOW_WORDS, FlowPart, FlowWord, OUTER_WORDS } from '../flow-key.ts';
import { rowOfTag, rowTagOf, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { finish, KeyTable, mixWord, rowLayout } from '../memory/key-table.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const KEY_WORDS = FLOW_WORDS;
const OUTER_KEY_WORDS = OUTER_WORDS;
const { addresses: PART_ADDRESSES } = FlowPart;

/** When there is no room, a flow makes some that was not heard of for this long: for longer than a change filter keeps quiet; or was heard of only once. */
const IDLE_NS = 1.5e9;
const IDLE_ONCE_NS = 0.25e9;
const LAYOUT = rowLayout(KEY_WORDS, 1);
const { rowWords: ROW_WORDS } = LAYOUT;
/** Two words in the place of one double: reports of the flow, and the tag of the ends of its tunnel (0: it is in none). */
const REPORTS = LAYOUT.fields * 2;
const TUNNEL_TAG = REPORTS + 1;
const MAX_REPORTS = 0xffff_ffff;
/** Source and destination of the outermost packet. */
const END_WORDS = 8;
const TUNNEL_LAYOUT = rowLayout(END_WORDS, 0);
const TUNNEL_IDLE_NS = 600e9;
/** One pair of tunnel ends for so many flows, within what a tag can name. */
const FLOWS_PER_TUNNEL = 16;
const [MIN_TUNNELS, MAX_TUNNELS] = [64, 65_536];
const IPV4 = 4;
const [SOURCE_V4, DESTINATION_V4] = [FlowWord.source + 3, FlowWord.destination + 3];

export class FlowTable {
  readonly keys: FlowKeys;
  /** Ends of the tunnels that flows are in. */
  readonly tunnels: KeyTable;
  constructor(arena: Arena, capacity: number, secret: Uint32Array) {
    this.keys = new FlowKeys(arena, capacity, LAYOUT, IDLE_NS, secret);
    const tunnels = Math.min(MAX_TUNNELS, Math.max(MIN_TUNNELS, Math.ceil(capacity / FLOWS_PER_TUNNEL)));
    this.tunnels = new KeyTable(arena, tunnels, TUNNEL_LAYOUT, TUNNEL_IDLE_NS, secret);
  }

  /** Reports of the flow in this row; it stays at 2^32 - 1. */
  reports(row: number): number {
    return this.keys.words[row * ROW_WORDS + REPORTS];
  }

  /** The flow in a row, or undefined when the row has meanwhile gone to another one. For the calm thread. */
  flowAt(row: number, generation: number): FlowKey | undefined {
    const { keys } = this;
    if (row === 0 || keys.generationOf(row) !== generation) return undefined;
    const words = keys.words.slice(row * ROW_WORDS, row * ROW_WORDS + KEY_WORDS);
    const outer = this.#endsOf(keys.words[row * ROW_WORDS + TUNNEL_TAG]);
    return keys.generationOf(row) === generation ? { words, outer } : undefined;
  }

  #endsOf(tag: number): Uint32Array | undefined {
    const { words, layout } = this.tunnels;
    const row = rowOfTag(tag);
    if (row === 0) return undefined;
    const ends = words.slice(row * layout.rowWords, row * layout.rowWords + END_WORDS);
    return rowTagOf(row, this.tunnels.generationOf(row)) === tag ? ends : undefined;
  }
}

/** The stage over a batch: fills `flowRow` and `flowGeneration` of every report; row 0 is "no flow, or no room". */
export function flowStage(flows: FlowTable, batch: HopBatch): () => void {
  const { keys, tunnels } = flows;
  const { words } = keys;
  const { reports, arrivalNs } = batch;
  const { flowParts, flowKey, outerParts, outerKey, flowHash, flowRow, flowGeneration } = reports;
  /** Where the reads of `prefetch` go, so that they are not optimised away. */
  const touched = new Int32Array(1);

  /**
   * Hashes all keys, then touches their index entries, then their rows. With many flows nearly every touch misses the cache, and the
   * processor waits for misses that do not depend on one another at the same time.
   */
  function prefetch(): void {
    let sum = 0;
    for (let report = 0; report < reports.length; report++) flowHash[report] = keys.hashOf(flowKey, report * KEY_WORDS);
    for (let report = 0; report < reports.length; report++) sum ^= keys.entryOf(flowHash[report]);
    for (let report = 0; report < reports.length; report++) sum ^= keys.touch(flowHash[report]);
    touched[0] = sum;
  }

  function tunnelTagOf(report: number, nowNs: number): number {
    for (let word = 0; word < END_WORDS; word++) tunnels.wanted[word] = outerKey[report * OUTER_KEY_WORDS + word];
    const row = tunnels.rowOfWanted(nowNs);
    return row === 0 ? 0 : rowTagOf(row, tunnels.generationOf(row));
  }

  return function observe(): void {
    const nowNs = arrivalNs[0];
    prefetch();
    for (let report = 0; report < reports.length; report++) {
      if ((flowParts[report] & PART_ADDRESSES) === 0) {
        flowRow[report] = 0;
        continue;
      }
      const row = keys.rowOf(flowHash[report], flowKey, report * KEY_WORDS, nowNs);
      const counter = row * ROW_WORDS + REPORTS;
      if (keys.isNew) {
        words[counter] = 0;
        words[row * ROW_WORDS + TUNNEL_TAG] = outerParts[report] === 0 ? 0 : tunnelTagOf(report, nowNs);
      }
      if (words[counter] !== MAX_REPORTS) words[counter]++;
      flowRow[report] = row;
      flowGeneration[report] = words[row * ROW_WORDS + KEY_WORDS];
    }
  };
}

/** A flow's key: KEY_WORDS words, see FlowWord; and the ends of its tunnel as of its first report, source and destination as in a key. */
export interface FlowKey {
  words: Uint32Array;
  outer: Uint32Array | undefined;
}

/**
 * Keys of flows. Of an IPv4 flow the words that are the same in all are neither hashed nor compared: the family is part of the protocol
 * word, so that no IPv6 key equals one.
 */
class FlowKeys extends KeyTable {
  override hashOf(words: Uint32Array, at: number): number {
    const s = this.secret;
    const protocol = words[at + FlowWord.protocol];
    let h =
      mixWord(words[at + SOURCE_V4], s[0], s[1]) +
      mixWord(words[at + DESTINATION_V4], s[2], s[3]) +
      mixWord(words[at + FlowWord.ports], s[4], s[5]) +
      mixWord(protocol, s[6], s[7]) +
      mixWord(words[at + FlowWord.tunnel], s[8], s[9]);
    if (((protocol >>> 8) & 0xff) !== IPV4) {
      for (let word = 0; word < 3; word++) {
        h += mixWord(words[at + FlowWord.source + word], s[10 + word * 2], s[11 + word * 2]);
        h += mixWord(words[at + FlowWord.destination + word], s[16 + word * 2], s[17 + word * 2]);
      }
    }
    return finish(h | 0);
  }

  protected override holds(row: number, words: Uint32Array, at: number): boolean {
    const own = this.words;
    const base = row * ROW_WORDS;
    const protocol = words[at + FlowWord.protocol];
    if (
      own[base + SOURCE_V4] !== words[at + SOURCE_V4] ||
      own[base + DESTINATION_V4] !== words[at + DESTINATION_V4] ||
      own[base + FlowWord.ports] !== words[at + FlowWord.ports] ||
      own[base + FlowWord.protocol] !== protocol ||
      own[base + FlowWord.tunnel] !== words[at + FlowWord.tunnel]
    ) {
      return false;
    }
    if (((protocol >>> 8) & 0xff) === IPV4) return true;
    for (let word = 0; word < FlowWord.ports; word++) if (own[base + word] !== words[at + word]) return false;
    return true;
  }

  protected override idleNsOf(row: number): number {
    return this.words[row * ROW_WORDS + REPORTS] > 1 ? IDLE_NS : IDLE_ONCE_NS;
  }
}
