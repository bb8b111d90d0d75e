// Bounded hash table from fixed-width keys to row numbers, in shared memory: the ground that every observe table stands on.
//
//   key words ──hash──▶ window of 32 slots in an index twice as large as the table ──▶ row       row 0 = "others": no room
//
// A look-up scans the window up to the first empty slot. When all rows are taken, the longest idle row of
// the window may go to the new key (its generation then rises), or else the newcomer lands in row 0 and a counter says so.
// Rule: one writer (the hot thread). A row's generation is odd while its key is written: readers believe a key only between two
// equal even generations.

import type { Arena } from './arena.ts';

const WINDOW = 32;
/** Values of an index slot beside row numbers: a look-up ends at an empty one and goes on behind one that was vacated. */
const EMPTY = 0;
const VACATED = 0xffff_ffff;

export class KeyTable {
  /** Rows, row 0 included. */
  readonly capacity: number;
  readonly keyWords: number;
  /** Key of row r at [r * keyWords]. Row 0 is never written. */
  readonly keys: Uint32Array;
  /** 0 while the row is free, odd while its key is being written, then even; every new owner adds two. */
  readonly generation: Int32Array;
  /** Collector time of the last touch, ns. */
  readonly lastSeenNs: Float64Array;
  /** [0] rows in use, [1] keys that fell into row 0, [2] rows given to another key. */
  readonly totals: Float64Array;
  /** The key to look up is written here before `rowOf`; local to each thread, so no allocation and no argument list. */
  readonly wanted: Uint32Array;
  /** True when the row that `rowOf` last returned was claimed by that call: its columns hold an older key's values or zeros. */
  isNew = false;
  readonly #index: Uint32Array;
  readonly #mask: number;
  readonly #idleNs: number;

  /** `capacity` rows besides row 0; a row idle for `idleNs` may be given away. */
  constructor(arena: Arena, capacity: number, keyWords: number, idleNs: number) {
    this.capacity = capacity + 1;
    this.keyWords = keyWords;
    this.#idleNs = idleNs;
    const slots = 2 ** Math.ceil(Math.log2(Math.max(WINDOW, capacity * 2)));
    this.#mask = slots - 1;
    this.#index = arena.uint32(slots);
    this.keys = arena.uint32(this.capacity * keyWords);
    this.generation = arena.int32(this.capacity);
    this.lastSeenNs = arena.float64(this.capacity);
    this.totals = arena.float64(3);
    this.wanted = new Uint32Array(keyWords);
  }

  /** Row of the key in `wanted`, added if it is new; 0 when there is no room. `isNew` tells which. */
  rowOf(nowNs: number): number {
    const start = this.#hash();
    let free = -1;
    this.isNew = false;
    for (let i = 0; i < WINDOW; i++) {
      const slot = (start + i) & this.#mask;
      const row = this.#index[slot];
      if (row === EMPTY || row === VACATED) {
        if (free < 0) free = slot;
        if (row === EMPTY) break;
      } else if (this.#holdsWanted(row)) {
        this.lastSeenNs[row] = nowNs;
        return row;
      }
    }
    if (free >= 0 && this.totals[0] < this.capacity - 1) {
      this.totals[0]++;
      this.#index[free] = this.totals[0];
      return this.#claim(this.totals[0], nowNs);
    }
    return this.#takeIdle(start, free, nowNs);
  }

  /** Gives the longest idle row of the window to the key in `wanted`; row 0 when none has been idle for long enough. */
  #takeIdle(start: number, free: number, nowNs: number): number {
    let oldestSlot = -1;
    let oldestNs = nowNs - this.#idleNs;
    for (let i = 0; i < WINDOW; i++) {
      const slot = (start + i) & this.#mask;
      const row = this.#index[slot];
      if (row === EMPTY || row === VACATED || this.lastSeenNs[row] > oldestNs) continue;
      oldestNs = this.lastSeenNs[row];
      oldestSlot = slot;
    }
    if (oldestSlot < 0) {
      this.totals[1]++;
      return 0;
    }
    const row = this.#index[oldestSlot];
    if (free >= 0) {
      this.#index[oldestSlot] = VACATED;
      this.#index[free] = row;
    }
    this.totals[2]++;
    return this.#claim(row, nowNs);
  }

  /** True when the row holds a key that may be read. For the calm thread. */
  isUsed(row: number): boolean {
    const generation = Atomics.load(this.generation, row);
    return generation !== 0 && (generation & 1) === 0;
  }

  /** All rows in use, in row order. For the calm thread. */
  usedRows(): number[] {
    const rows: number[] = [];
    for (let row = 1; row <= this.totals[0]; row++) if (this.isUsed(row)) rows.push(row);
    return rows;
  }

  #claim(row: number, nowNs: number): number {
    Atomics.add(this.generation, row, 1);
    for (let word = 0; word < this.keyWords; word++) this.keys[row * this.keyWords + word] = this.wanted[word];
    this.lastSeenNs[row] = nowNs;
    this.isNew = true;
    Atomics.add(this.generation, row, 1);
    return row;
  }

  #holdsWanted(row: number): boolean {
    const at = row * this.keyWords;
    for (let word = 0; word < this.keyWords; word++) if (this.keys[at + word] !== this.wanted[word]) return false;
    return true;
  }

  /** Murmur3's finalizer over the words (public domain, A. Appleby): every key bit reaches every index bit. */
  #hash(): number {
    let h = 0x9747b28c;
    for (let word = 0; word < this.keyWords; word++) {
      h = Math.imul(h ^ this.wanted[word], 0x85ebca6b);
      h ^= h >>> 13;
      h = Math.imul(h, 0xc2b2ae35);
      h ^= h >>> 16;
    }
    return h & this.#mask;
  }
}
