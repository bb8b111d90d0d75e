// Memory for the columns of a batch: typed arrays cut from one buffer so that the rows of everyday life share no cache set.

/** Rows of a batch that are used in everyday life; and the sizes of a cache line and of what is between two lines of one set. */
const NEAR_ROWS = 64;
const LINE_BYTES = 64;
export const PAGE_BYTES = 4096;
/**
 * Memory for the columns of a batch. Columns that all began on a page would have their first rows in the same few sets of the first-level
 * cache and drive one another out of it (measured: some five per cent of a hop). Here the first NEAR_ROWS rows of all columns lie in
 * sets of their own; the rest of a column, for datagrams of uncommon size, lies wherever there is room.
 */
export class ColumnMemory {
  readonly #buffer: ArrayBuffer;
  #offset = 0;

  constructor(maxBytes: number) {
    this.#buffer = new ArrayBuffer(maxBytes);
  }

  /** Offset of the next column of `rows` rows. */
  #take(rows: number, rowBytes: number): number {
    const at = this.#offset;
    const near = Math.ceil((Math.min(rows, NEAR_ROWS) * rowBytes) / LINE_BYTES) * LINE_BYTES;
    const beyond = Math.max(0, rows * rowBytes - near);
    this.#offset += near + Math.ceil(beyond / PAGE_BYTES) * PAGE_BYTES;
    return at;
  }

  uint8(length: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(length, 1), length);
  }

  uint16(length: number): Uint16Array {
    return new Uint16Array(this.#buffer, this.#take(length, 2), length);
  }

  uint32(length: number, wordsPerRow = 1): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(length, 4 * wordsPerRow), length * wordsPerRow);
  }

  float64(length: number, wordsPerRow = 1): Float64Array {
    return new Float64Array(this.#buffer, this.#take(length, 8 * wordsPerRow), length * wordsPerRow);
  }

  bigUint64(length: number): BigUint64Array {
    return new BigUint64Array(this.#buffer, this.#take(length, 8), length);
  }
}
