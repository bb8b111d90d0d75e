// Bounded pool of arrival logs: who entered a hot queue since it was last nearly empty. Evidence for culprits and victims.
//
//   queue above its floor ─▶ takes a log ─▶ appends ─▶ event closes ─▶ log is handed to the calm thread ─▶ free again
//                                        └▶ below the floor without an event ─▶ free: nothing before can matter
//
// A full log keeps a random half of its entries at twice the weight (the build-up is never dropped): memory is bounded and
// shares survive without bias. Random, not every second: two flows that alternate would otherwise lose one of them.
// Rule: the hot thread writes a log that is in use; after handing over only the calm thread touches it. A version counter that
// is odd during rewrites lets the calm thread read a log in use and notice that it changed meanwhile.

import type { Arena } from './arena.ts';

const FREE = 0;
const IN_USE = 1;
const HANDED_OVER = 2;

/** One log as copied out for diagnosis; arrays are `length` long. */
export interface ArrivalLog {
  length: number;
  enqueueNodeNs: Float64Array;
  waitNs: Float64Array;
  lengthBytes: Float64Array;
  weight: Float64Array;
  flowRow: Uint32Array;
  flowGeneration: Uint32Array;
  tcpSequence: Uint32Array;
  /** 1 where `tcpSequence` was really in the fragment. */
  hasTcpSequence: Uint8Array;
}

export class ArrivalPool {
  readonly logs: number;
  readonly entries: number;
  readonly #state: Int32Array;
  readonly #version: Int32Array;
  readonly #length: Int32Array;
  readonly #weight: Float64Array;
  readonly #enqueueNodeNs: Float64Array;
  readonly #waitNs: Float64Array;
  readonly #lengthBytes: Float64Array;
  readonly #entryWeight: Float64Array;
  readonly #flowRow: Uint32Array;
  readonly #flowGeneration: Uint32Array;
  readonly #tcpSequence: Uint32Array;
  readonly #hasTcpSequence: Uint8Array;
  /** [0] times no log was free. */
  readonly totals: Float64Array;
  #hand = 0;
  #seed = 0x2545f491;

  /** `logs` logs of `entries` arrivals each. */
  constructor(arena: Arena, logs: number, entries: number) {
    this.logs = logs;
    this.entries = entries;
    this.#state = arena.int32(logs);
    this.#version = arena.int32(logs);
    this.#length = arena.int32(logs);
    this.#weight = arena.float64(logs);
    this.#enqueueNodeNs = arena.float64(logs * entries);
    this.#waitNs = arena.float64(logs * entries);
    this.#lengthBytes = arena.float64(logs * entries);
    this.#entryWeight = arena.float64(logs * entries);
    this.#flowRow = arena.uint32(logs * entries);
    this.#flowGeneration = arena.uint32(logs * entries);
    this.#tcpSequence = arena.uint32(logs * entries);
    this.#hasTcpSequence = arena.uint8(logs * entries);
    this.totals = arena.float64(1);
  }

  /** Takes a free log; -1 when all are in use (counted). */
  take(): number {
    for (let i = 0; i < this.logs; i++) {
      const log = (this.#hand + i) % this.logs;
      if (Atomics.load(this.#state, log) === FREE) {
        this.#hand = (log + 1) % this.logs;
        this.#state[log] = IN_USE;
        this.#reset(log);
        return log;
      }
    }
    this.totals[0]++;
    return -1;
  }

  #reset(log: number): void {
    Atomics.add(this.#version, log, 1);
    this.#length[log] = 0;
    this.#weight[log] = 1;
    Atomics.add(this.#version, log, 1);
  }

  /** Appends an arrival; when the log is full, halves it first. */
  append(
    log: number,
    enqueueNodeNs: number,
    waitNs: number,
    lengthBytes: number,
    flowRow: number,
    flowGeneration: number,
    tcpSequence: number,
    hasTcpSequence: boolean,
  ): void {
    if (this.#weight[log] > 1 && this.#random() >= 1 / this.#weight[log]) return;
    if (this.#length[log] === this.entries) this.#halve(log);
    const at = log * this.entries + this.#length[log];
    this.#enqueueNodeNs[at] = enqueueNodeNs;
    this.#waitNs[at] = waitNs;
    this.#lengthBytes[at] = lengthBytes;
    this.#entryWeight[at] = this.#weight[log];
    this.#flowRow[at] = flowRow;
    this.#flowGeneration[at] = flowGeneration;
    this.#tcpSequence[at] = tcpSequence;
    this.#hasTcpSequence[at] = hasTcpSequence ? 1 : 0;
    Atomics.store(this.#length, log, this.#length[log] + 1);
  }

  /** Gives the log to the calm thread, which frees it. */
  handOver(log: number): void {
    Atomics.store(this.#state, log, HANDED_OVER);
  }

  /** Makes a log free again. */
  free(log: number): void {
    Atomics.store(this.#state, log, FREE);
  }

  /** Copies a log out; undefined when the hot thread kept rewriting it. */
  copy(log: number): ArrivalLog | undefined {
    for (let attempt = 0; attempt < 8; attempt++) {
      const before = Atomics.load(this.#version, log);
      if ((before & 1) !== 0) continue;
      const length = Atomics.load(this.#length, log);
      const from = log * this.entries;
      const copied: ArrivalLog = {
        length,
        enqueueNodeNs: this.#enqueueNodeNs.slice(from, from + length),
        waitNs: this.#waitNs.slice(from, from + length),
        lengthBytes: this.#lengthBytes.slice(from, from + length),
        weight: this.#entryWeight.slice(from, from + length),
        flowRow: this.#flowRow.slice(from, from + length),
        flowGeneration: this.#flowGeneration.slice(from, from + length),
        tcpSequence: this.#tcpSequence.slice(from, from + length),
        hasTcpSequence: this.#hasTcpSequence.slice(from, from + length),
      };
      if (Atomics.load(this.#version, log) === before) return copied;
    }
    return undefined;
  }

  /** xorshift32 (Marsaglia 2003) from a fixed seed: a replay keeps the same entries. In [0, 1). */
  #random(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x | 0;
    return (x >>> 0) / 0x1_0000_0000;
  }

  #halve(log: number): void {
    Atomics.add(this.#version, log, 1);
    const from = log * this.entries;
    const kept = this.entries >>> 1;
    for (let i = 0; i < kept; i++) {
      const target = from + i;
      const source = from + i * 2 + (this.#random() < 0.5 ? 0 : 1);
      this.#enqueueNodeNs[target] = this.#enqueueNodeNs[source];
      this.#waitNs[target] = this.#waitNs[source];
      this.#lengthBytes[target] = this.#lengthBytes[source];
      this.#entryWeight[target] = this.#entryWeight[source] * 2;
      this.#flowRow[target] = this.#flowRow[source];
      this.#flowGeneration[target] = this.#flowGeneration[source];
      this.#tcpSequence[target] = this.#tcpSequence[source];
      this.#hasTcpSequence[target] = this.#hasTcpSequence[source];
    }
    this.#length[log] = kept;
    this.#weight[log] *= 2;
    Atomics.add(this.#version, log, 1);
  }
}
