// Bounded ring of fixed-width number records from the hot thread to the calm one: rare things (event edges) cross here.
// Single producer, single consumer, in shared memory. A full ring drops the newest record and counts it; nobody ever waits.

import type { Arena } from './arena.ts';

export class Ring {
  readonly capacity: number;
  readonly width: number;
  readonly #records: Float64Array;
  /** [0] written, [1] read, [2] dropped; running counts that wrap at 2^32 together. */
  readonly #marks: Int32Array;

  constructor(arena: Arena, capacity: number, width: number) {
    this.capacity = capacity;
    this.width = width;
    this.#records = arena.float64(capacity * width);
    this.#marks = arena.int32(3);
  }

  /** Records dropped because the ring was full. */
  get dropped(): number {
    return Atomics.load(this.#marks, 2) >>> 0;
  }

  /** Copies `record` in; false when the ring is full (counted). */
  push(record: Float64Array): boolean {
    const written = this.#marks[0];
    if (((written - Atomics.load(this.#marks, 1)) | 0) >= this.capacity) {
      Atomics.add(this.#marks, 2, 1);
      return false;
    }
    this.#records.set(record, ((written >>> 0) % this.capacity) * this.width);
    Atomics.store(this.#marks, 0, (written + 1) | 0);
    Atomics.notify(this.#marks, 0);
    return true;
  }

  /** Resolves when there is something to pop. For the calm thread; it does not keep a process alive. */
  async filled(): Promise<void> {
    const written = Atomics.load(this.#marks, 0);
    if (written !== Atomics.load(this.#marks, 1)) return;
    await Atomics.waitAsync(this.#marks, 0, written).value;
  }

  /** Ends the waiting for something to pop, though there is nothing. */
  wake(): void {
    Atomics.notify(this.#marks, 0);
  }

  /** Copies the oldest record into `record`; false when there is none. */
  pop(record: Float64Array): boolean {
    const read = this.#marks[1];
    if (Atomics.load(this.#marks, 0) === read) return false;
    const at = ((read >>> 0) % this.capacity) * this.width;
    for (let i = 0; i < this.width; i++) record[i] = this.#records[at + i];
    Atomics.store(this.#marks, 1, (read + 1) | 0);
    return true;
  }
}
