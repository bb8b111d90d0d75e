// Bounded hash table from fixed-width keys to row numbers, in shared memory: the ground that every observe table stands on.
//
//   key words ──hash──▶ window of 16 slots ──▶ row = slot + 1        row 0 = "others": what found no room
//
// A look-up scans the window up to the first empty slot. Nothing is ever deleted; a full window may give its longest idle
// row to a new key (the row's generation then rises), or else the newcomer lands in row 0 and a counter says so.
// Rule: one writer (the hot thread). Readers see a row once its `used` word is stored.

import type { Arena } from './arena.ts';

const WINDOW = 16;

export class KeyTable {
  readonly capacity: number;
  readonly keyWords: number;
  /** Key of row r at [r * keyWords]. Row 0 is never written. */
  readonly keys: Uint32Array;
  /** 0 while the row is free; otherwise how often the row has been given away, starting at 1. */
  readonly generation: Int32Array;
  /** Collector time of the last touch, ns; the caller's stages keep it fresh. */
  readonly lastSeenNs: Float64Array;
  /** [0] rows in use, [1] keys that fell into row 0, [2] rows given to another key. */
  readonly totals: Float64Array;
  /** The key to look up is written here before `rowOf`; local to each thread, so no allocation and no argument list. */
  readonly wanted: Uint32Array;
  readonly #slots: number;
  readonly #idleNs: number;

  /** `capacity` rows besides row 0; a row idle for `idleNs` may be given away (Infinity: never). */
  constructor(arena: Arena, capacity: number, keyWords: number, idleNs: number) {
    this.#slots = capacity;
    this.capacity = capacity + 1;
    this.keyWords = keyWords;
    this.#idleNs = idleNs;
    this.keys = arena.uint32(this.capacity * keyWords);
    this.generation = arena.int32(this.capacity);
    this.lastSeenNs = arena.float64(this.capacity);
    this.totals = arena.float64(3);
    this.wanted = new Uint32Array(keyWords);
  }

  /** Row of the key in `wanted`, added if it is new; 0 when there is no room. `isNew` tells which. */
  rowOf(nowNs: number): number {
    const start = this.#hash();
    let oldest = 0;
    let oldestNs = nowNs - this.#idleNs;
    for (let i = 0; i < WINDOW; i++) {
      const row = ((start + i) % this.#slots) + 1;
      if (this.generation[row] === 0) return this.#claim(row, nowNs);
      if (this.#holdsWanted(row)) {
        this.lastSeenNs[row] = nowNs;
        return row;
      }
      if (this.lastSeenNs[row] < oldestNs) {
        oldestNs = this.lastSeenNs[row];
        oldest = row;
      }
    }
    if (oldest === 0) {
      this.totals[1]++;
      return 0;
    }
    this.totals[2]++;
    this.totals[0]--;
    return this.#claim(oldest, nowNs);
  }

  /** True when the row that `rowOf` last returned was claimed by that call: its columns hold an older key's values or zeros. */
  isNew = false;

  #claim(row: number, nowNs: number): number {
    for (let word = 0; word < this.keyWords; word++) this.keys[row * this.keyWords + word] = this.wanted[word];
    this.lastSeenNs[row] = nowNs;
    this.totals[0]++;
    this.isNew = true;
    Atomics.add(this.generation, row, 1);
    return row;
  }

  #holdsWanted(row: number): boolean {
    const at = row * this.keyWords;
    for (let word = 0; word < this.keyWords; word++) if (this.keys[at + word] !== this.wanted[word]) return false;
    this.isNew = false;
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
    return (h >>> 0) % this.#slots;
  }
}
