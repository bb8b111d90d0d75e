// Bounded pool of arrival logs: who entered a filling queue since it was last nearly empty. Evidence for culprits and victims.
//
//   queue above its floor ─▶ takes a log ─▶ appends ─▶ event opens (pinned) ─▶ closes: handed to the calm thread ─▶ free again
//                                        └▶ below the floor without an event ─▶ free: nothing before can matter
//
// A full log keeps a random half of its entries at twice the weight (the build-up is never dropped): memory is bounded and
// shares survive without bias. Random, not every second: two flows that alternate would otherwise lose one of them.
// When no log is free, the one that was idle for longest is taken from its queue, which then knows since when it misses arrivals:
// half an evidence would accuse whoever came last.
// Rule: the hot thread writes a log that is in use; after handing over only the calm thread touches it. A version counter that
// is odd during rewrites lets the calm thread read a log in use and notice that it changed meanwhile; a generation that rises with
// every taking lets it notice that the log has another owner.

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
  /** Queue that it entered: that of the event, or another one of its port. */
  queueRow: Uint32Array;
}

/** For how long a log may lie idle before another queue may have it, ns of collector time. */
export interface LogPatience {
  /** Above the floor, without an event. */
  looseNs: number;
  /** With an open event. */
  pinnedNs: number;
}

export class ArrivalPool {
  readonly logs: number;
  readonly entries: number;
  readonly #patience: LogPatience;
  readonly #state: Int32Array;
  readonly #generation: Int32Array;
  readonly #version: Int32Array;
  readonly #length: Int32Array;
  readonly #weight: Float64Array;
  readonly #owner: Uint32Array;
  readonly #pinned: Uint8Array;
  readonly #usedNs: Float64Array;
  /** By queue row: its log plus one (0: none), and the node time of the newest arrival that it could not keep. */
  declare private readonly logByRow: Uint32Array;
  declare private readonly missedNodeNs: Float64Array;
  readonly #enqueueNodeNs: Float64Array;
  readonly #waitNs: Float64Array;
  readonly #lengthBytes: Float64Array;
  readonly #entryWeight: Float64Array;
  readonly #flowRow: Uint32Array;
  readonly #flowGeneration: Uint32Array;
  readonly #tcpSequence: Uint32Array;
  readonly #hasTcpSequence: Uint8Array;
  readonly #queueRow: Uint32Array;
  /** [0] arrivals that found no log, [1] logs taken from an idle queue. */
  readonly totals: Float64Array;
  #seed = 0x2545f491;
  /** While no log can be had, looking again would cost every arrival a scan: not before this time, unless one was freed. */
  #noneUntilNs = 0;
  readonly #freed: Int32Array;
  #freedSeen = 0;

  /** `logs` logs of `entries` arrivals each, for queue rows below `rows`. */
  constructor(arena: Arena, logs: number, entries: number, rows: number, patience: LogPatience) {
    this.logs = logs;
    this.entries = entries;
    this.#patience = patience;
    this.#state = arena.int32(logs);
    this.#generation = arena.int32(logs);
    this.#version = arena.int32(logs);
    this.#length = arena.int32(logs);
    this.#weight = arena.float64(logs);
    this.#owner = arena.uint32(logs);
    this.#pinned = arena.uint8(logs);
    this.#usedNs = arena.float64(logs);
    this.logByRow = arena.uint32(rows);
    this.missedNodeNs = arena.float64(rows);
    this.#enqueueNodeNs = arena.float64(logs * entries);
    this.#waitNs = arena.float64(logs * entries);
    this.#lengthBytes = arena.float64(logs * entries);
    this.#entryWeight = arena.float64(logs * entries);
    this.#flowRow = arena.uint32(logs * entries);
    this.#flowGeneration = arena.uint32(logs * entries);
    this.#tcpSequence = arena.uint32(logs * entries);
    this.#hasTcpSequence = arena.uint8(logs * entries);
    this.#queueRow = arena.uint32(logs * entries);
    this.totals = arena.float64(2);
    this.#freed = arena.int32(1);
  }

  /** Appends an arrival at queue `queueRow` to the log of queue `row`, which takes one if it has none and `mayTake` allows it. */
  append(
    row: number,
    mayTake: boolean,
    nowNs: number,
    enqueueNodeNs: number,
    waitNs: number,
    lengthBytes: number,
    packets: number,
    flowRow: number,
    flowGeneration: number,
    tcpSequence: number,
    hasTcpSequence: boolean,
    queueRow: number,
  ): void {
    if (this.logByRow[row] === 0 && mayTake) this.#take(row, nowNs);
    const log = this.logByRow[row] - 1;
    if (log < 0) {
      this.totals[0]++;
      this.missedNodeNs[row] = enqueueNodeNs;
      return;
    }
    this.#usedNs[log] = nowNs;
    if (this.#weight[log] > 1 && this.#random() >= 1 / this.#weight[log]) return;
    if (this.#length[log] === this.entries) this.#halve(log);
    const at = log * this.entries + this.#length[log];
    this.#enqueueNodeNs[at] = enqueueNodeNs;
    this.#waitNs[at] = waitNs;
    this.#lengthBytes[at] = lengthBytes;
    this.#entryWeight[at] = this.#weight[log] * packets;
    this.#flowRow[at] = flowRow;
    this.#flowGeneration[at] = flowGeneration;
    this.#tcpSequence[at] = tcpSequence;
    this.#hasTcpSequence[at] = hasTcpSequence ? 1 : 0;
    this.#queueRow[at] = queueRow;
    Atomics.store(this.#length, log, this.#length[log] + 1);
  }

  /** Log of the queue, -1 when it has none. */
  logOf(row: number): number {
    return this.logByRow[row] - 1;
  }

  /** How often the log has been taken: tells one use of it from another. */
  generationOf(log: number): number {
    return log < 0 ? 0 : this.#generation[log];
  }

  /** True when the queue has kept every arrival since node time `nodeNs`. */
  isCompleteSince(row: number, nodeNs: number): boolean {
    return this.logByRow[row] !== 0 && this.missedNodeNs[row] < nodeNs;
  }

  /** An event has opened on the queue: its log is needed for longer. */
  pin(row: number): void {
    if (this.logByRow[row] !== 0) this.#pinned[this.logByRow[row] - 1] = 1;
  }

  /** The queue needs no log any more. */
  release(row: number): void {
    if (this.logByRow[row] === 0) return;
    this.free(this.logByRow[row] - 1);
    this.logByRow[row] = 0;
  }

  /** The row goes to another queue. */
  forget(row: number): void {
    this.release(row);
    this.missedNodeNs[row] = -Infinity;
  }

  /** Parts the queue from its log and returns it for handing over, -1 when it has none. */
  detach(row: number): number {
    const log = this.logByRow[row] - 1;
    this.logByRow[row] = 0;
    return log;
  }

  #take(row: number, nowNs: number): void {
    const freed = Atomics.load(this.#freed, 0);
    if (nowNs < this.#noneUntilNs && freed === this.#freedSeen) return;
    let log = -1;
    let idlest = 0;
    for (let candidate = 0; candidate < this.logs; candidate++) {
      const state = Atomics.load(this.#state, candidate);
      if (state === FREE) {
        log = candidate;
        break;
      }
      if (state !== IN_USE) continue;
      const idle = nowNs - this.#usedNs[candidate];
      const patience = this.#pinned[candidate] === 1 ? this.#patience.pinnedNs : this.#patience.looseNs;
      if (idle < patience || idle <= idlest) continue;
      idlest = idle;
      log = candidate;
    }
    if (log < 0) {
      this.#noneUntilNs = nowNs + this.#patience.looseNs / 10;
      this.#freedSeen = freed;
      return;
    }
    if (idlest > 0 && this.#state[log] === IN_USE) this.#deprive(log);
    Atomics.add(this.#generation, log, 1);
    this.#state[log] = IN_USE;
    this.#owner[log] = row;
    this.#pinned[log] = 0;
    this.logByRow[row] = log + 1;
    Atomics.add(this.#version, log, 1);
    this.#length[log] = 0;
    this.#weight[log] = 1;
    Atomics.add(this.#version, log, 1);
  }

  /** Takes a log from its idle queue, whose newest kept arrival is then its newest missed one. */
  #deprive(log: number): void {
    const owner = this.#owner[log];
    const newest = this.#length[log] - 1;
    if (newest >= 0) this.missedNodeNs[owner] = this.#enqueueNodeNs[log * this.entries + newest];
    this.logByRow[owner] = 0;
    this.totals[1]++;
  }

  /** Gives the log to the calm thread, which frees it. */
  handOver(log: number): void {
    Atomics.store(this.#state, log, HANDED_OVER);
  }

  /** Makes a log free again. */
  free(log: number): void {
    Atomics.store(this.#state, log, FREE);
    Atomics.add(this.#freed, 0, 1);
  }

  /** Copies a log out; undefined when it has another owner by now, or the hot thread kept rewriting it. */
  copy(log: number, generation: number): ArrivalLog | undefined {
    for (let attempt = 0; attempt < 8; attempt++) {
      if (Atomics.load(this.#generation, log) !== generation) return undefined;
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
        queueRow: this.#queueRow.slice(from, from + length),
      };
      const isUnchanged = Atomics.load(this.#version, log) === before;
      if (isUnchanged && Atomics.load(this.#generation, log) === generation) return copied;
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
      this.#queueRow[target] = this.#queueRow[source];
    }
    this.#length[log] = kept;
    this.#weight[log] *= 2;
    Atomics.add(this.#version, log, 1);
  }
}
