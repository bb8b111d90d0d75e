// Who reports, and what was lost on the way here: one row per (source address, node, hardware id), with its sequence counter.
// 22 bits (v2.0) and 32 bits (v0.5) both wrap. Two answers to "how much was lost": `expected - received` is what is missing now,
// numbers that may still come included; `lost` is what did not come until the counter was 64 further on, and never falls.
// Rule: out of order is not loss, a stray number is not a million losses, a restart is neither, and a counter that never moves says
// nothing. A jump is believed only when the next datagram goes on from it (as in RFC 3550, appendix A.1). A source that keeps jumping
// (two exporters under one name, reordering beyond all bounds) counts nothing until it has been orderly for a while.

import type { Arena } from '../memory/arena.ts';
import { KeyTable } from '../memory/key-table.ts';

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

export class SequenceTable {
  readonly keys: KeyTable;
  /** Numbers the counter advanced over, and distinct numbers received. */
  readonly expected: Float64Array;
  readonly received: Float64Array;
  /** Numbers that did not come in time; never falls. */
  readonly lost: Float64Array;
  readonly duplicates: Float64Array;
  readonly reordered: Float64Array;
  readonly restarts: Float64Array;
  /** Not 0: no loss information from this source. See Uncounted. */
  readonly uncounted: Uint8Array;
  readonly #highest: Uint32Array;
  /** Numbers advanced over since the counter last (re)started: what lies before was never expected. */
  readonly #sinceStart: Float64Array;
  readonly #equalRun: Uint32Array;
  /** Orderly datagrams in a row, and how often order was broken of late. */
  readonly #orderlyRun: Uint32Array;
  readonly #disorder: Uint32Array;
  /** The first number behind a jump that waits for its confirmation, plus one; 0 when there is none. */
  readonly #confirming: Float64Array;
  readonly #lastDuplicate: Float64Array;
  readonly #duplicateRun: Uint32Array;
  readonly #seen: Uint32Array;

  constructor(arena: Arena, capacity: number) {
    this.keys = new KeyTable(arena, capacity, 6, IDLE_NS);
    const rows = this.keys.capacity;
    this.expected = arena.float64(rows);
    this.received = arena.float64(rows);
    this.lost = arena.float64(rows);
    this.duplicates = arena.float64(rows);
    this.reordered = arena.float64(rows);
    this.restarts = arena.float64(rows);
    this.uncounted = arena.uint8(rows);
    this.#highest = arena.uint32(rows);
    this.#sinceStart = arena.float64(rows);
    this.#equalRun = arena.uint32(rows);
    this.#orderlyRun = arena.uint32(rows);
    this.#disorder = arena.uint32(rows);
    this.#confirming = arena.float64(rows);
    this.#lastDuplicate = arena.float64(rows);
    this.#duplicateRun = arena.uint32(rows);
    this.#seen = arena.uint32(rows * WINDOW_WORDS);
  }

  /**
   * Takes note of one datagram's sequence number of `bits` bits. `sourceWords` holds the source address as four words at `at`.
   * Returns Arrival.duplicate when this very number was already seen within the window of 1,024.
   */
  observe(
    sourceWords: Uint32Array,
    at: number,
    nodeId: number,
    hardwareId: number,
    sequence: number,
    bits: number,
    nowNs: number,
  ): number {
    const wanted = this.keys.wanted;
    wanted[0] = sourceWords[at];
    wanted[1] = sourceWords[at + 1];
    wanted[2] = sourceWords[at + 2];
    wanted[3] = sourceWords[at + 3];
    wanted[4] = nodeId;
    wanted[5] = hardwareId;
    const row = this.keys.rowOf(nowNs);
    if (row === 0) return Arrival.fresh;
    if (this.keys.isNew) return this.#begin(row, sequence);
    const span = bits === 32 ? 0x1_0000_0000 : 2 ** bits;
    if (this.uncounted[row] !== Uncounted.no) return this.#whileUncounted(row, sequence, span);
    const ahead = (sequence - this.#highest[row] + span) % span;
    if (ahead === 0) return this.#repeat(row);
    this.#equalRun[row] = 0;
    const behind = span - ahead;
    if (ahead < WINDOW) {
      if (++this.#orderlyRun[row] >= ORDERLY_AFTER) this.#disorder[row] = 0;
      this.#advance(row, sequence, ahead);
      return Arrival.fresh;
    }
    if (behind < WINDOW) return this.#late(row, sequence, behind);
    return this.#jump(row, sequence, ahead, span);
  }

  /** A row for a new source, or one that belonged to another before. */
  #begin(row: number, sequence: number): number {
    this.expected[row] = 0;
    this.received[row] = 0;
    this.lost[row] = 0;
    this.duplicates[row] = 0;
    this.reordered[row] = 0;
    this.restarts[row] = 0;
    this.uncounted[row] = Uncounted.no;
    this.#disorder[row] = 0;
    return this.#start(row, sequence);
  }

  #start(row: number, sequence: number): number {
    this.#highest[row] = sequence;
    this.#sinceStart[row] = 1;
    this.#equalRun[row] = 0;
    this.#confirming[row] = 0;
    this.#duplicateRun[row] = 0;
    this.#seen.fill(0, row * WINDOW_WORDS, (row + 1) * WINDOW_WORDS);
    this.#mark(row, sequence);
    this.expected[row]++;
    this.received[row]++;
    return Arrival.fresh;
  }

  /** The counter began again: what was still awaited will not come. */
  #restart(row: number, sequence: number): number {
    this.restarts[row]++;
    this.#disturb(row);
    const awaited = Math.min(LOST_AFTER, this.#sinceStart[row]);
    for (let back = 0; back < awaited; back++) if (!this.#isMarked(row, this.#highest[row] - back)) this.lost[row]++;
    return this.#start(row, sequence);
  }

  /** A number far from all that is known: a stray, unless the next datagram goes on from it. */
  #jump(row: number, sequence: number, ahead: number, span: number): number {
    const first = this.#confirming[row] - 1;
    const step = (sequence - first + span) % span;
    this.#confirming[row] = sequence + 1;
    this.#disturb(row);
    if (first < 0 || step === 0 || step > CONFIRM_WITHIN) return Arrival.fresh;
    // The datagram before this one was the first behind the jump, and was taken for a stray.
    const toFirst = (ahead - step + span) % span;
    if (ahead >= span / 2 || (ahead > RESTART_JUMP && sequence < NEAR_ZERO)) this.#restart(row, first);
    else this.#advance(row, first, toFirst);
    this.#advance(row, sequence, step);
    return Arrival.fresh;
  }

  /** Order was broken: done too often of late, the source does not count. */
  #disturb(row: number): void {
    this.#orderlyRun[row] = 0;
    if (++this.#disorder[row] >= ERRATIC_AFTER) this.uncounted[row] = Uncounted.erratic;
  }

  /** Moves the newest number on by `ahead`; what falls more than LOST_AFTER behind without having come is lost. */
  #advance(row: number, sequence: number, ahead: number): void {
    const highest = this.#highest[row];
    const leaving = Math.min(ahead, LOST_AFTER);
    for (let i = 0; i < leaving; i++) {
      const back = LOST_AFTER - 1 - i;
      if (back < this.#sinceStart[row] && !this.#isMarked(row, highest - back)) this.lost[row]++;
    }
    this.lost[row] += ahead - leaving;
    const clear = Math.min(ahead, WINDOW);
    for (let i = 0; i < clear; i++) this.#unmark(row, sequence - i);
    this.#mark(row, sequence);
    this.#highest[row] = sequence;
    this.#sinceStart[row] += ahead;
    this.#confirming[row] = 0;
    this.#duplicateRun[row] = 0;
    this.expected[row] += ahead;
    this.received[row]++;
  }

  #late(row: number, sequence: number, behind: number): number {
    // Numbers before the first one seen were never expected: late ones from that time are fresh but change no count.
    if (behind >= this.#sinceStart[row]) return Arrival.fresh;
    if (!this.#isMarked(row, sequence)) {
      this.#mark(row, sequence);
      this.#duplicateRun[row] = 0;
      this.received[row]++;
      this.reordered[row]++;
      return Arrival.fresh;
    }
    this.#duplicateRun[row] = sequence === this.#lastDuplicate[row] + 1 ? this.#duplicateRun[row] + 1 : 1;
    this.#lastDuplicate[row] = sequence;
    if (this.#duplicateRun[row] === RESTART_RUN) return this.#restart(row, sequence);
    this.duplicates[row]++;
    return Arrival.duplicate;
  }

  /** The newest number again: a duplicate, unless the counter has never moved. */
  #repeat(row: number): number {
    if (this.#sinceStart[row] > 1) {
      this.duplicates[row]++;
      return Arrival.duplicate;
    }
    this.#equalRun[row]++;
    if (this.#equalRun[row] >= CONSTANT_AFTER) this.uncounted[row] = Uncounted.constant;
    return Arrival.fresh;
  }

  /** Everything is fresh; a constant counter counts as soon as it moves, an erratic one when it has been orderly for long enough. */
  #whileUncounted(row: number, sequence: number, span: number): number {
    const ahead = (sequence - this.#highest[row] + span) % span;
    this.#highest[row] = sequence;
    if (this.uncounted[row] === Uncounted.constant) {
      if (ahead === 0) return Arrival.fresh;
    } else {
      this.#orderlyRun[row] = ahead > 0 && ahead <= CONFIRM_WITHIN ? this.#orderlyRun[row] + 1 : 0;
      if (this.#orderlyRun[row] < ORDERLY_AFTER) return Arrival.fresh;
    }
    this.uncounted[row] = Uncounted.no;
    this.#disorder[row] = 0;
    return this.#start(row, sequence);
  }

  #mark(row: number, sequence: number): void {
    const slot = sequence & (WINDOW - 1);
    this.#seen[row * WINDOW_WORDS + (slot >>> 5)] |= 1 << (slot & 31);
  }

  #unmark(row: number, sequence: number): void {
    const slot = sequence & (WINDOW - 1);
    this.#seen[row * WINDOW_WORDS + (slot >>> 5)] &= ~(1 << (slot & 31));
  }

  #isMarked(row: number, sequence: number): boolean {
    const slot = sequence & (WINDOW - 1);
    return (this.#seen[row * WINDOW_WORDS + (slot >>> 5)] & (1 << (slot & 31))) !== 0;
  }
}
