// Bounded hash table from fixed-width keys to row numbers, in shared memory: the ground that every observe table stands on.
//
//   key words ──hash──▶ window of 32 slots in an index twice as large as the table ──▶ row       row 0 = "others": no room
//   row = whole cache lines: key words · generation · last seen · the fields of the table that stands on it
//
// A slot holds a row and nine bits of its hash, so that a look-up touches the lines of no row but its own. It scans the window up to
// the first empty slot. When all rows are taken, the longest idle row of the window may go to the new key (its generation then
// rises), or else the newcomer lands in row 0 and a counter says so.
// Rule: one writer (the hot thread). A row's generation is odd while its key is written: readers believe a key only between two
// equal even generations.

import type { Arena } from './arena.ts';

const WINDOW = 32;
const ROW_BITS = 23;
const ROW_MASK = (1 << ROW_BITS) - 1;
/** Values of an index slot beside row numbers: a look-up ends at an empty one and goes on behind one that was vacated. */
const EMPTY = 0;
const VACATED = 0xffff_ffff;
/** Slots in which `touch` looks for a key: most are in the first, and a line of the index holds sixteen. */
const NEAR_SLOTS = 4;
/** A cache line, in doubles. */
const LINE_DOUBLES = 8;

/** Where things lie in a row: in words (generation), or in doubles of the same memory. */
export interface RowLayout {
  readonly keyWords: number;
  readonly rowWords: number;
  readonly rowDoubles: number;
  readonly lastSeenNs: number;
  /** First of the fields. */
  readonly fields: number;
}

/** Layout of a row of `keyWords` words and `fields` doubles, in whole cache lines. */
export function rowLayout(keyWords: number, fields: number): RowLayout {
  const lastSeenNs = (keyWords + 2) >>> 1;
  const rowDoubles = Math.ceil((lastSeenNs + 1 + fields) / LINE_DOUBLES) * LINE_DOUBLES;
  return { keyWords, rowWords: rowDoubles * 2, rowDoubles, lastSeenNs, fields: lastSeenNs + 1 };
}

/**
 * Its fields are declared and not defined: a field that is first undefined and then assigned is no constant to V8, and each look-up would load
 * and check all of them (seen in its code, Node 24).
 */
export class KeyTable {
  /** Rows, row 0 included. */
  declare readonly capacity: number;
  declare readonly layout: RowLayout;
  /** All rows: as words, and as doubles over the same memory. The key of row 0 is never written. */
  declare readonly words: Uint32Array;
  declare readonly doubles: Float64Array;
  /** [0] rows in use, [1] look-ups that ended in row 0, [2] rows given to another key. */
  declare readonly totals: Float64Array;
  /** A place to write a key to look up; local to each thread. */
  declare readonly wanted: Uint32Array;
  /** True when the row that `rowOf` last returned was claimed by that call: its fields hold an older key's values or zeros. */
  isNew = false;
  /** Two 16-bit numbers for each word of a key. */
  declare protected readonly secret: Uint32Array;
  declare private readonly index: Uint32Array;
  declare private readonly mask: number;
  declare private readonly idleNs: number;

  /** `capacity` rows besides row 0; a row idle for `idleNs` may be given away. `secret`: two random 16-bit numbers for each word. */
  constructor(arena: Arena, capacity: number, layout: RowLayout, idleNs: number, secret: Uint32Array) {
    this.capacity = capacity + 1;
    this.layout = layout;
    this.secret = secret;
    this.idleNs = idleNs;
    const slots = 2 ** Math.ceil(Math.log2(Math.max(WINDOW, capacity * 2)));
    this.mask = slots - 1;
    this.index = arena.uint32(slots);
    this.doubles = arena.float64(this.capacity * layout.rowDoubles);
    this.words = new Uint32Array(this.doubles.buffer, this.doubles.byteOffset, this.doubles.length * 2);
    this.totals = arena.float64(3);
    this.wanted = new Uint32Array(layout.keyWords);
  }

  /** Row of the key in `wanted`, or 0 when it has none. */
  find(): number {
    const hash = this.hashOf(this.wanted, 0);
    for (let i = 0; i < WINDOW; i++) {
      const entry = this.index[(hash + i) & this.mask];
      if (entry === EMPTY) return 0;
      if (entry === VACATED || (entry ^ hash) >>> ROW_BITS !== 0) continue;
      if (this.holds(entry & ROW_MASK, this.wanted, 0)) return entry & ROW_MASK;
    }
    return 0;
  }

  /** Row of the key in `wanted`, added if it is new; 0 when there is no room. `isNew` tells which. */
  rowOfWanted(nowNs: number): number {
    return this.rowOf(this.hashOf(this.wanted, 0), this.wanted, 0, nowNs);
  }

  /** Row of the key at `words[at]`, whose hash is `hash`. The first slot is tried here, so that V8 inlines the common case. */
  rowOf(hash: number, words: Uint32Array, at: number, nowNs: number): number {
    const entry = this.index[hash & this.mask];
    const row = entry & ROW_MASK;
    if (entry !== EMPTY && (entry ^ hash) >>> ROW_BITS === 0 && row < this.capacity && this.holds(row, words, at)) {
      this.isNew = false;
      this.doubles[row * this.layout.rowDoubles + this.layout.lastSeenNs] = nowNs;
      return row;
    }
    return this.#search(hash, words, at, nowNs);
  }

  #search(hash: number, words: Uint32Array, at: number, nowNs: number): number {
    let free = -1;
    this.isNew = false;
    for (let i = 0; i < WINDOW; i++) {
      const slot = (hash + i) & this.mask;
      const entry = this.index[slot];
      if (entry === EMPTY || entry === VACATED) {
        if (free < 0) free = slot;
        if (entry === EMPTY) break;
      } else if ((entry ^ hash) >>> ROW_BITS === 0) {
        const row = entry & ROW_MASK;
        if (this.holds(row, words, at)) {
          this.doubles[row * this.layout.rowDoubles + this.layout.lastSeenNs] = nowNs;
          return row;
        }
      }
    }
    return this.#add(hash, free, words, at, nowNs);
  }

  /** Slot where the search for a key of this hash begins. Reading it early, and the row behind it, lets cache misses overlap. */
  entryOf(hash: number): number {
    return this.index[hash & this.mask];
  }

  /** A word of the row that a key of this hash most likely has, to have its line in the cache. */
  touch(hash: number): number {
    for (let i = 0; i < NEAR_SLOTS; i++) {
      const entry = this.index[(hash + i) & this.mask];
      if ((entry ^ hash) >>> ROW_BITS !== 0) continue;
      const row = entry & ROW_MASK;
      return row < this.capacity ? this.words[row * this.layout.rowWords] : 0;
    }
    return 0;
  }

  #add(hash: number, free: number, words: Uint32Array, at: number, nowNs: number): number {
    if (free < 0 || this.totals[0] >= this.capacity - 1) return this.#takeIdle(hash, free, words, at, nowNs);
    // A whole number to V8 too: one that came out of doubles would make every index that is reckoned from it a double.
    const row = (this.totals[0] + 1) | 0;
    this.totals[0] = row;
    this.index[free] = entryFor(hash, row);
    return this.#claim(row, words, at, nowNs);
  }

  /** Gives the longest idle row of the window to the key; row 0 when none has been idle for long enough. */
  #takeIdle(hash: number, free: number, words: Uint32Array, at: number, nowNs: number): number {
    let oldestSlot = -1;
    let oldestNs = Infinity;
    for (let i = 0; i < WINDOW; i++) {
      const slot = (hash + i) & this.mask;
      const entry = this.index[slot];
      if (entry === EMPTY || entry === VACATED) continue;
      const row = entry & ROW_MASK;
      const seenNs = this.lastSeenNs(row);
      if (seenNs > oldestNs || nowNs - seenNs < this.idleNsOf(row)) continue;
      oldestNs = seenNs;
      oldestSlot = slot;
    }
    if (oldestSlot < 0) {
      this.totals[1]++;
      return 0;
    }
    const row = this.index[oldestSlot] & ROW_MASK;
    if (free >= 0) {
      this.index[oldestSlot] = VACATED;
      this.index[free] = entryFor(hash, row);
    } else this.index[oldestSlot] = entryFor(hash, row);
    this.totals[2]++;
    return this.#claim(row, words, at, nowNs);
  }

  /** Word `word` of the row's key. */
  keyWord(row: number, word: number): number {
    return this.words[row * this.layout.rowWords + word];
  }

  /** 0 while the row is free, odd while its key is being written, then even; every new owner adds two. */
  generationOf(row: number): number {
    return Atomics.load(this.words, row * this.layout.rowWords + this.layout.keyWords);
  }

  /** Collector time of the last touch, ns. */
  lastSeenNs(row: number): number {
    return this.doubles[row * this.layout.rowDoubles + this.layout.lastSeenNs];
  }

  /** True when the row holds a key that may be read. For the calm thread. */
  isUsed(row: number): boolean {
    const generation = this.generationOf(row);
    return generation !== 0 && (generation & 1) === 0;
  }

  /** All rows in use, in row order. For the calm thread. */
  usedRows(): number[] {
    const rows: number[] = [];
    for (let row = 1; row <= this.totals[0]; row++) if (this.isUsed(row)) rows.push(row);
    return rows;
  }

  #claim(row: number, words: Uint32Array, at: number, nowNs: number): number {
    const { rowWords, keyWords } = this.layout;
    const base = row * rowWords;
    // Odd from here on, also where a thread died in the middle of a claim.
    const odd = Atomics.load(this.words, base + keyWords) | 1;
    Atomics.store(this.words, base + keyWords, odd);
    for (let word = 0; word < keyWords; word++) this.words[base + word] = words[at + word];
    this.doubles[row * this.layout.rowDoubles + this.layout.lastSeenNs] = nowNs;
    this.isNew = true;
    Atomics.store(this.words, base + keyWords, odd + 1);
    return row;
  }

  /** For how long a row must have been idle before another key may have it, ns. */
  protected idleNsOf(_row: number): number {
    return this.idleNs;
  }

  /** True when the row's key is the one at `words[at]`. */
  protected holds(row: number, words: Uint32Array, at: number): boolean {
    const base = row * this.layout.rowWords;
    for (let word = 0; word < this.layout.keyWords; word++) if (this.words[base + word] !== words[at + word]) return false;
    return true;
  }

  /** Keyed hash of the key at `words[at]`. */
  hashOf(words: Uint32Array, at: number): number {
    let h = 0;
    for (let word = 0; word < this.layout.keyWords; word++) {
      h = (h + mixWord(words[at + word], this.secret[word * 2], this.secret[word * 2 + 1])) | 0;
    }
    return finish(h);
  }
}

/**
 * One word's part of a hash: NH (UMAC, Black and others 1999) over 16-bit halves. Over a random secret, any two keys collide with a
 * probability of at most 2^-16 before `finish`: nobody who does not know it can choose keys that fall into one window.
 */
export function mixWord(word: number, secretLow: number, secretHigh: number): number {
  return Math.imul((word + secretLow) & 0xffff, ((word >>> 16) + secretHigh) & 0xffff);
}

/** Murmur3's finalizer (public domain, A. Appleby): every bit reaches every bit. */
export function finish(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function entryFor(hash: number, row: number): number {
  return ((hash >>> ROW_BITS) << ROW_BITS) | row;
}
