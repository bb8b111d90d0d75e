// Who reports, and what was lost on the way here: one row per (source address, node, hardware id), with its sequence counter.
// 22 bits (v2.0) and 32 bits (v0.5) both wrap. Two answers to "how much was lost": `expected - received` is what is missing now,
// numbers that may still come included; `lost` is what did not come until the counter was 64 further on, and never falls.
// Rule: out of order is not loss, a stray number is not a million losses, a restart is neither, and a counter that never moves says
// nothing. A jump is believed only when the next datagram goes on from it (as in RFC 3550, appendix A.1). A source that keeps jumping
// (two exporters under one name, reordering beyond all bounds) counts nothing until it has been orderly for a while.

import type { Arena } from '../memory/arena.ts';
import { KeyTable, rowLayout } from '../memory/key-table.ts';

/** Numbers that are remembered behind the newest, for duplicates. */
const WINDOW = 1024;
const WINDOW_WORDS = WINDOW / 32;
/** A number that is this far behind and has not come is lost. */
const LOST_AFTER = 64;
const CONSTANT_AFTER = 16;
/** A jump is confirmed by a number at most so much further on: exporters may count reports, or be shared by two collectors. */
const CONFIRM_WITHIN = 8;
/** Jumps and restarts, without so many orderly datagrams in between, that make a source erratic; and what makes it orderly again. */
const ERRATIC_AFTER = 8;
const ORDERLY_AFTER = 256;
/** So many known numbers in a row, each one more than the last, are a counter that began again, not duplicates. */
const RESTART_RUN = 16;
/** A forward jump beyond the first that lands below the second is a restart: a wrap would land there once in 256 times. */
const RESTART_JUMP = 65_536;
const NEAR_ZERO = 16_384;
const IDLE_NS = 600e9;

/** What `observe` tells about one datagram. */
export const Arrival = { fresh: 0, duplicate: 1 } as const;

/** Why a source does not count: its number never moves, or moves without order. */
export const Uncounted = { no: 0, constant: 1, erratic: 2 } as const;

/** Address, node, hardware id. */
const KEY_WORDS = 6;
const FIELDS = 15;
const LAYOUT = rowLayout(KEY_WORDS, FIELDS);
const { rowDoubles: ROW_DOUBLES } = LAYOUT;
/** Fields of a row. */
const [
  EXPECTED,
  RECEIVED,
  LOST,
  DUPLICATES,
  REORDERED,
  RESTARTS,
  UNCOUNTED,
  HIGHEST,
  /** Numbers advanced over since the counter last (re)started: what lies before was never expected. */
  SINCE_START,
  /** Orderly datagrams in a row, and how often order was broken of late. */
  ORDERLY_RUN,
  DISORDER,
  /** The first number behind a jump that waits for its confirmation, plus one; 0 when there is none. */
  CONFIRMING,
  /** The newest repeated number, and how many known numbers came in a row, each one more than the last. */
  LAST_DUPLICATE,
  DUPLICATE_RUN,
  /** How often the first number came again before any other. */
  EQUAL_RUN,
] = Array.from({ length: FIELDS }, (_, field) => LAYOUT.fields + field);

export class SequenceTable {
  readonly keys: KeyTable;
  /** The same memory as the rows of `keys`. */
  readonly #n: Float64Array;
  /** WINDOW bits a row: which of the newest numbers have come. */
  readonly seen: Uint32Array;

  constructor(arena: Arena, capacity: number, secret: Uint32Array) {
    this.keys = new KeyTable(arena, capacity, LAYOUT, IDLE_NS, secret);
    this.#n = this.keys.doubles;
    this.seen = arena.uint32(this.keys.capacity * WINDOW_WORDS);
  }

  /** Numbers that the counter advanced over. */
  expected(row: number): number {
    return this.#n[row * ROW_DOUBLES + EXPECTED];
  }

  /** Distinct numbers received. */
  received(row: number): number {
    return this.#n[row * ROW_DOUBLES + RECEIVED];
  }

  /** Numbers that did not come in time; never falls. */
  lost(row: number): number {
    return this.#n[row * ROW_DOUBLES + LOST];
  }

  duplicates(row: number): number {
    return this.#n[row * ROW_DOUBLES + DUPLICATES];
  }

  reordered(row: number): number {
    return this.#n[row * ROW_DOUBLES + REORDERED];
  }

  restarts(row: number): number {
    return this.#n[row * ROW_DOUBLES + RESTARTS];
  }

  /** Not 0: no loss information from this source. See Uncounted. */
  uncounted(row: number): number {
    return this.#n[row * ROW_DOUBLES + UNCOUNTED];
  }
}

/** The number of one datagram, and the counter that it is of. */
export interface Sequenced {
  readonly nodeId: number;
  readonly hardwareId: number;
  readonly sequenceNumber: number;
  /** Width of the counter: 22 (v2.0) or 32 (v0.5). */
  readonly sequenceBits: number;
}

/**
 * The stage over its table; `arrivalNs[0]` is the collector's time. It takes note of one datagram's number, from the address in
 * `sourceWords`, and returns Arrival.duplicate when this very number was already seen within the window of 1,024.
 */
export function sequenceStage(
  sources: SequenceTable,
  arrivalNs: Float64Array,
): (sourceWords: Uint32Array, datagram: Sequenced) => number {
  const { keys, seen } = sources;
  const { doubles: n, wanted } = keys;

  function observe(sourceWords: Uint32Array, datagram: Sequenced): number {
    wanted[0] = sourceWords[0];
    wanted[1] = sourceWords[1];
    wanted[2] = sourceWords[2];
    wanted[3] = sourceWords[3];
    wanted[4] = datagram.nodeId;
    wanted[5] = datagram.hardwareId;
    const row = keys.rowOfWanted(arrivalNs[0]);
    const sequence = datagram.sequenceNumber;
    if (row === 0) return Arrival.fresh;
    if (keys.isNew) return begin(row, sequence);
    const base = row * ROW_DOUBLES;
    // A mask, because the remainder of doubles is dear.
    const mask = datagram.sequenceBits === 32 ? -1 : (1 << datagram.sequenceBits) - 1;
    if (n[base + UNCOUNTED] !== Uncounted.no) return whileUncounted(row, sequence, mask);
    const ahead = ((sequence - n[base + HIGHEST]) & mask) >>> 0;
    if (ahead === 0) return repeat(row);
    n[base + EQUAL_RUN] = 0;
    const behind = ((n[base + HIGHEST] - sequence) & mask) >>> 0;
    if (ahead < WINDOW) {
      if (++n[base + ORDERLY_RUN] >= ORDERLY_AFTER) n[base + DISORDER] = 0;
      advance(row, sequence, ahead);
      return Arrival.fresh;
    }
    if (behind < WINDOW) return late(row, sequence, behind);
    return jump(row, sequence, ahead, mask);
  }

  /** A row for a new source, or one that belonged to another before. */
  function begin(row: number, sequence: number): number {
    const base = row * ROW_DOUBLES;
    n[base + EXPECTED] = 0;
    n[base + RECEIVED] = 0;
    n[base + LOST] = 0;
    n[base + DUPLICATES] = 0;
    n[base + REORDERED] = 0;
    n[base + RESTARTS] = 0;
    n[base + UNCOUNTED] = Uncounted.no;
    n[base + DISORDER] = 0;
    return start(row, sequence);
  }

  function start(row: number, sequence: number): number {
    const base = row * ROW_DOUBLES;
    n[base + HIGHEST] = sequence;
    n[base + SINCE_START] = 1;
    n[base + EQUAL_RUN] = 0;
    n[base + CONFIRMING] = 0;
    n[base + DUPLICATE_RUN] = 0;
    seen.fill(0, row * WINDOW_WORDS, (row + 1) * WINDOW_WORDS);
    mark(row, sequence);
    n[base + EXPECTED]++;
    n[base + RECEIVED]++;
    return Arrival.fresh;
  }

  /** The counter began again: what was still awaited will not come. */
  function restart(row: number, sequence: number): number {
    const base = row * ROW_DOUBLES;
    n[base + RESTARTS]++;
    disturb(row);
    const awaited = Math.min(LOST_AFTER, n[base + SINCE_START]);
    for (let back = 0; back < awaited; back++) if (!isMarked(row, n[base + HIGHEST] - back)) n[base + LOST]++;
    return start(row, sequence);
  }

  /** A number far from all that is known: a stray, unless the next datagram goes on from it. */
  function jump(row: number, sequence: number, ahead: number, mask: number): number {
    const base = row * ROW_DOUBLES;
    const first = n[base + CONFIRMING] - 1;
    const step = ((sequence - first) & mask) >>> 0;
    n[base + CONFIRMING] = sequence + 1;
    disturb(row);
    if (first < 0 || step === 0 || step > CONFIRM_WITHIN) return Arrival.fresh;
    // The datagram before this one was the first behind the jump, and was taken for a stray.
    const toFirst = ((ahead - step) & mask) >>> 0;
    if (ahead > mask >>> 1 || (ahead > RESTART_JUMP && sequence < NEAR_ZERO)) restart(row, first);
    else advance(row, first, toFirst);
    advance(row, sequence, step);
    return Arrival.fresh;
  }

  /** Order was broken: done too often of late, the source does not count. */
  function disturb(row: number): void {
    const base = row * ROW_DOUBLES;
    n[base + ORDERLY_RUN] = 0;
    if (++n[base + DISORDER] >= ERRATIC_AFTER) n[base + UNCOUNTED] = Uncounted.erratic;
  }

  /** Moves the newest number on by `ahead`; what falls more than LOST_AFTER behind without having come is lost. */
  function advance(row: number, sequence: number, ahead: number): void {
    const base = row * ROW_DOUBLES;
    const highest = n[base + HIGHEST];
    const leaving = Math.min(ahead, LOST_AFTER);
    for (let i = 0; i < leaving; i++) {
      const back = LOST_AFTER - 1 - i;
      if (back < n[base + SINCE_START] && !isMarked(row, highest - back)) n[base + LOST]++;
    }
    n[base + LOST] += ahead - leaving;
    const clear = Math.min(ahead, WINDOW);
    for (let i = 0; i < clear; i++) unmark(row, sequence - i);
    mark(row, sequence);
    n[base + HIGHEST] = sequence;
    n[base + SINCE_START] += ahead;
    n[base + CONFIRMING] = 0;
    n[base + DUPLICATE_RUN] = 0;
    n[base + EXPECTED] += ahead;
    n[base + RECEIVED]++;
  }

  function late(row: number, sequence: number, behind: number): number {
    const base = row * ROW_DOUBLES;
    // Numbers before the first one seen were never expected: late ones from that time are fresh but change no count.
    if (behind >= n[base + SINCE_START]) return Arrival.fresh;
    if (!isMarked(row, sequence)) {
      mark(row, sequence);
      n[base + DUPLICATE_RUN] = 0;
      n[base + RECEIVED]++;
      n[base + REORDERED]++;
      return Arrival.fresh;
    }
    n[base + DUPLICATE_RUN] = sequence === n[base + LAST_DUPLICATE] + 1 ? n[base + DUPLICATE_RUN] + 1 : 1;
    n[base + LAST_DUPLICATE] = sequence;
    if (n[base + DUPLICATE_RUN] === RESTART_RUN) return restart(row, sequence);
    n[base + DUPLICATES]++;
    return Arrival.duplicate;
  }

  /** The newest number again: a duplicate, unless the counter has never moved. */
  function repeat(row: number): number {
    const base = row * ROW_DOUBLES;
    if (n[base + SINCE_START] > 1) {
      n[base + DUPLICATES]++;
      return Arrival.duplicate;
    }
    n[base + EQUAL_RUN]++;
    if (n[base + EQUAL_RUN] >= CONSTANT_AFTER) n[base + UNCOUNTED] = Uncounted.constant;
    return Arrival.fresh;
  }

  /** Everything is fresh; a constant counter counts as soon as it moves, an erratic one when it has been orderly for long enough. */
  function whileUncounted(row: number, sequence: number, mask: number): number {
    const base = row * ROW_DOUBLES;
    const ahead = ((sequence - n[base + HIGHEST]) & mask) >>> 0;
    n[base + HIGHEST] = sequence;
    if (n[base + UNCOUNTED] === Uncounted.constant) {
      if (ahead === 0) return Arrival.fresh;
    } else {
      n[base + ORDERLY_RUN] = ahead > 0 && ahead <= CONFIRM_WITHIN ? n[base + ORDERLY_RUN] + 1 : 0;
      if (n[base + ORDERLY_RUN] < ORDERLY_AFTER) return Arrival.fresh;
    }
    n[base + UNCOUNTED] = Uncounted.no;
    n[base + DISORDER] = 0;
    return start(row, sequence);
  }

  function mark(row: number, sequence: number): void {
    const slot = sequence & (WINDOW - 1);
    seen[row * WINDOW_WORDS + (slot >>> 5)] |= 1 << (slot & 31);
  }

  function unmark(row: number, sequence: number): void {
    const slot = sequence & (WINDOW - 1);
    seen[row * WINDOW_WORDS + (slot >>> 5)] &= ~(1 << (slot & 31));
  }

  function isMarked(row: number, sequence: number): boolean {
    const slot = sequence & (WINDOW - 1);
    return (seen[row * WINDOW_WORDS + (slot >>> 5)] & (1 << (slot & 31))) !== 0;
  }

  return observe;
}
