// Counts of everything that arrives, is refused or is lost. The hot thread counts in memory of its own and publishes all counts at
// once, between two batches; readers take a snapshot in which the books balance.
// Rule: whatever can be lost has a slot here, so that received = decoded + rejected + dropped holds in every snapshot.

import type { Arena } from './arena.ts';

/**
 * Where a received datagram can be dropped without being rejected by a decoder: older than the collector may be behind, from a sender
 * that is not admitted, above its rate, or by a fault of ours.
 */
export const DROP_PLACES = ['late', 'not-admitted', 'rate-limit', 'internal-error'] as const;
export const DropPlace = { late: 0, notAdmitted: 1, rateLimit: 2, internalError: 3 } as const;

/** Slot of every count that stands alone. */
export const Count = {
  datagramsReceived: 0,
  /** Messages of the kernel: of one datagram each, unless it coalesced several. */
  messagesReceived: 1,
  bytesReceived: 2,
  datagramsDecoded: 3,
  duplicates: 4,
  reportsFramed: 5,
  reportsDecoded: 6,
  /** Reports in decoded datagrams that were duplicates: decoded, and not observed again. */
  reportsDuplicate: 7,
  hopsDecoded: 8,
  /** Reports about packets to the report port itself: telemetry of telemetry. */
  telemetryOfTelemetry: 9,
  /** Interfaces whose counters were told. */
  linksDecoded: 10,
} as const;
export type SingleCount = keyof typeof Count;
const SINGLES = Object.keys(Count).length;

/** How many reasons, warnings and dialects, decoded and unknown, there are to count. */
export interface CounterWidths {
  refusals: number;
  warnings: number;
  unknownDialects: number;
  dialects: number;
}

/** One set of counts that belong together. */
export class CounterSnapshot {
  declare readonly values: Float64Array;
  /**
   * By place, by reason code for whole datagrams and for single reports, by warning bit, by unknown dialect, by dialect of
   * decoded datagrams: views of `values`.
   */
  declare readonly datagramsDropped: Float64Array;
  declare readonly datagramsRejected: Float64Array;
  declare readonly reportsRefused: Float64Array;
  declare readonly warnings: Float64Array;
  declare readonly unknownDialects: Float64Array;
  declare readonly dialects: Float64Array;

  constructor(widths: CounterWidths) {
    this.values = new Float64Array(lengthOf(widths));
    let at = SINGLES;
    const next = (length: number): Float64Array => this.values.subarray(at, (at += length));
    this.datagramsDropped = next(DROP_PLACES.length);
    this.datagramsRejected = next(widths.refusals);
    this.reportsRefused = next(widths.refusals);
    this.warnings = next(widths.warnings);
    this.unknownDialects = next(widths.unknownDialects);
    this.dialects = next(widths.dialects);
  }

  /** Adds another set of the same widths. */
  add(other: CounterSnapshot): void {
    for (let i = 0; i < this.values.length; i++) this.values[i] += other.values[i];
  }

  of(name: SingleCount): number {
    return this.values[Count[name]];
  }
}

function lengthOf({ refusals, warnings, unknownDialects, dialects }: CounterWidths): number {
  return SINGLES + DROP_PLACES.length + 2 * refusals + warnings + unknownDialects + dialects;
}

export class Counters {
  /** The hot thread's own counts. */
  readonly own: CounterSnapshot;
  readonly #widths: CounterWidths;
  readonly #published: Float64Array;
  /** Odd while the published counts are being written. */
  readonly #version: Int32Array;

  constructor(arena: Arena, widths: CounterWidths) {
    this.#widths = widths;
    this.own = new CounterSnapshot(widths);
    this.#published = arena.float64(lengthOf(widths));
    this.#version = arena.int32(1);
  }

  /** Goes on from what was published: for a hot thread that begins anew over the same memory. */
  resume(): void {
    this.own.values.set(this.#published);
    // The thread before this one may have died in the middle of publishing.
    if ((Atomics.load(this.#version, 0) & 1) !== 0) Atomics.add(this.#version, 0, 1);
  }

  /** Lets readers see the counts as they are now. For the hot thread. */
  publish(): void {
    Atomics.add(this.#version, 0, 1);
    this.#published.set(this.own.values);
    Atomics.add(this.#version, 0, 1);
  }

  /** The newest counts that were published together. For the calm thread. */
  read(): CounterSnapshot {
    const snapshot = new CounterSnapshot(this.#widths);
    // The writer needs a fraction of a microsecond: a version that stays odd is that of a thread which died while it wrote.
    for (let attempt = 0; attempt < 1000; attempt++) {
      const before = Atomics.load(this.#version, 0);
      snapshot.values.set(this.#published);
      if ((before & 1) === 0 && Atomics.load(this.#version, 0) === before) break;
    }
    return snapshot;
  }
}
