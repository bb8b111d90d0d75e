// Flows: one row per innermost 5-tuple (and tunnel), so that later stages carry a small number instead of addresses.
// A row may pass to another flow after it was idle for long; whoever keeps a row keeps its generation too. A flow that was reported
// only once makes room much earlier: a flood of them cannot keep out a flow that matters.
// Rule: report counts are not packet counts under a change filter, so nothing here is called packets.

import { FLOW_WORDS, FlowPart, FlowWord, type HopBatch } from '../hop.ts';
import type { Arena } from '../memory/arena.ts';
import { finish, KeyTable, mixWord, rowLayout } from '../memory/key-table.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const KEY_WORDS = FLOW_WORDS;
const { addresses: PART_ADDRESSES } = FlowPart;

const IDLE_NS = 30e9;
const IDLE_ONCE_NS = 1e9;
const LAYOUT = rowLayout(KEY_WORDS, 1);
const REPORTS = LAYOUT.fields;
const { rowDoubles: ROW_DOUBLES, rowWords: ROW_WORDS } = LAYOUT;
const IPV4 = 4;
const [SOURCE_V4, DESTINATION_V4] = [FlowWord.source + 3, FlowWord.destination + 3];

export class FlowTable {
  readonly keys: FlowKeys;
  constructor(arena: Arena, capacity: number, secret: Uint32Array) {
    this.keys = new FlowKeys(arena, capacity, LAYOUT, IDLE_NS, secret);
  }

  /** Reports of the flow in this row. */
  reports(row: number): number {
    return this.keys.doubles[row * ROW_DOUBLES + REPORTS];
  }

  /** The flow in a row, or undefined when the row has meanwhile gone to another one. For the calm thread. */
  flowAt(row: number, generation: number): FlowKey | undefined {
    const { keys } = this;
    if (row === 0 || keys.generationOf(row) !== generation) return undefined;
    const words = keys.words.slice(row * ROW_WORDS, row * ROW_WORDS + KEY_WORDS);
    return keys.generationOf(row) === generation ? { words } : undefined;
  }
}

/** The stage over a batch: fills `flowRow` and `flowGeneration` of every report; row 0 is "no flow, or no room". */
export function flowStage(flows: FlowTable, batch: HopBatch): () => void {
  const { keys } = flows;
  const { words, doubles } = keys;
  const { reports, arrivalNs } = batch;
  const { flowParts, flowKey, flowHash, flowRow, flowGeneration } = reports;
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

  return function observe(): void {
    const nowNs = arrivalNs[0];
    prefetch();
    for (let report = 0; report < reports.length; report++) {
      if ((flowParts[report] & PART_ADDRESSES) === 0) {
        flowRow[report] = 0;
        continue;
      }
      const row = keys.rowOf(flowHash[report], flowKey, report * KEY_WORDS, nowNs);
      const counter = row * ROW_DOUBLES + REPORTS;
      if (keys.isNew) doubles[counter] = 0;
      doubles[counter]++;
      flowRow[report] = row;
      flowGeneration[report] = words[row * ROW_WORDS + KEY_WORDS];
    }
  };
}

/** A flow's key: KEY_WORDS words, see FlowWord. */
export interface FlowKey {
  words: Uint32Array;
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
    return this.doubles[row * ROW_DOUBLES + REPORTS] > 1 ? IDLE_NS : IDLE_ONCE_NS;
  }
}
