// Who reports, and what was lost on the way here: one row per (source address, node, hardware id), with its sequence counter.
// Loss = numbers that the counter advanced over minus distinct numbers received. 22 bits (v2.0) and 32 bits (v0.5) both wrap.
// Rule: out of order is not loss, a restart is not four million losses, and a counter that never moves says nothing.

import type { Arena } from '../memory/arena.ts';
import { KeyTable } from '../memory/key-table.ts';

const WINDOW = 1024;
const WINDOW_WORDS = WINDOW / 32;
const CONSTANT_AFTER = 16;
/** A forward jump beyond this that lands near zero is a restart: no exporter loses 65,536 reports and then starts at zero by chance. */
const RESTART_JUMP = 65_536;

/** What `observe` tells about one datagram. */
export const Arrival = { fresh: 0, duplicate: 1 } as const;

export class SequenceTable {
  readonly keys: KeyTable;
  /** Numbers the counter advanced over, and distinct numbers received: loss is the difference. */
  readonly expected: Float64Array;
  readonly received: Float64Array;
  readonly duplicates: Float64Array;
  readonly reordered: Float64Array;
  readonly restarts: Float64Array;
  /** 1 when the counter has never moved over 16 datagrams: no loss information from this source. */
  readonly constant: Uint8Array;
  /** Bits of the counter, 22 or 32. */
  readonly bits: Uint8Array;
  readonly #highest: Uint32Array;
  readonly #equalRun: Uint32Array;
  readonly #seen: Uint32Array;

  constructor(arena: Arena, capacity: number) {
    this.keys = new KeyTable(arena, capacity, 6, Infinity);
    const rows = this.keys.capacity;
    this.expected = arena.float64(rows);
    this.received = arena.float64(rows);
    this.duplicates = arena.float64(rows);
    this.reordered = arena.float64(rows);
    this.restarts = arena.float64(rows);
    this.constant = arena.uint8(rows);
    this.bits = arena.uint8(rows);
    this.#highest = arena.uint32(rows);
    this.#equalRun = arena.uint32(rows);
    this.#seen = arena.uint32(rows * WINDOW_WORDS);
  }

  /**
   * Takes note of one datagram's sequence number. `sourceWords` holds the source address as four words at `at`.
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
    if (this.keys.isNew) {
      this.bits[row] = bits;
      this.expected[row] = 0;
      this.received[row] = 0;
      this.#start(row, sequence);
      return Arrival.fresh;
    }
    if (this.constant[row] === 1) {
      if (sequence === this.#highest[row]) return this.#countConstant(row);
      this.constant[row] = 0;
      this.#start(row, sequence);
      return Arrival.fresh;
    }

    const span = bits === 32 ? 0x1_0000_0000 : 2 ** bits;
    const ahead = (sequence - this.#highest[row] + span) % span;
    if (ahead === 0) return this.#repeat(row);
    this.#equalRun[row] = 0;
    if (ahead < span / 2) {
      if (ahead > RESTART_JUMP && sequence < WINDOW) return this.#restart(row, sequence);
      this.#advance(row, sequence, ahead);
      return Arrival.fresh;
    }
    const behind = span - ahead;
    if (behind >= WINDOW) return this.#restart(row, sequence);
    // Numbers before the first one seen were never expected: late ones from that time are fresh but change no count.
    if (behind >= this.expected[row]) return Arrival.fresh;
    return this.#late(row, sequence);
  }

  #start(row: number, sequence: number): void {
    this.#highest[row] = sequence;
    this.#equalRun[row] = 0;
    this.#seen.fill(0, row * WINDOW_WORDS, (row + 1) * WINDOW_WORDS);
    this.#mark(row, sequence);
    this.expected[row]++;
    this.received[row]++;
  }

  #restart(row: number, sequence: number): number {
    this.restarts[row]++;
    this.#start(row, sequence);
    return Arrival.fresh;
  }

  #advance(row: number, sequence: number, ahead: number): void {
    const clear = Math.min(ahead, WINDOW);
    for (let i = 0; i < clear; i++) this.#unmark(row, sequence - i);
    this.#mark(row, sequence);
    this.#highest[row] = sequence;
    this.expected[row] += ahead;
    this.received[row]++;
  }

  #late(row: number, sequence: number): number {
    if (this.#isMarked(row, sequence)) {
      this.duplicates[row]++;
      return Arrival.duplicate;
    }
    this.#mark(row, sequence);
    this.received[row]++;
    this.reordered[row]++;
    return Arrival.fresh;
  }

  /** The newest number again: a duplicate, unless it never changes; then what was taken for duplicates is given back. */
  #repeat(row: number): number {
    this.#equalRun[row]++;
    if (this.#equalRun[row] < CONSTANT_AFTER || this.expected[row] > 1) {
      this.duplicates[row]++;
      return Arrival.duplicate;
    }
    this.constant[row] = 1;
    this.received[row] += this.duplicates[row];
    this.expected[row] += this.duplicates[row];
    this.duplicates[row] = 0;
    return this.#countConstant(row);
  }

  #countConstant(row: number): number {
    this.expected[row]++;
    this.received[row]++;
    return Arrival.fresh;
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
