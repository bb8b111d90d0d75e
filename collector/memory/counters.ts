// Counts of everything that arrives, is refused or is lost, in shared memory: one writer, any readers.
// Rule: whatever can be lost has a slot here, so that received = decoded + rejected + dropped holds at every moment.

import type { Arena } from './arena.ts';

/** Where a received datagram can be dropped without being rejected by a decoder. */
export const DROP_PLACES = ['internal-error'] as const;

export class Counters {
  /** One element each: typed arrays, because both threads must see the same memory. */
  readonly datagramsReceived: Float64Array;
  readonly bytesReceived: Float64Array;
  readonly datagramsDecoded: Float64Array;
  readonly duplicates: Float64Array;
  readonly reportsFramed: Float64Array;
  readonly reportsDecoded: Float64Array;
  readonly hopsDecoded: Float64Array;
  /** Reports about packets to the report port itself: telemetry of telemetry. */
  readonly telemetryOfTelemetry: Float64Array;
  /** By reason code, for whole datagrams and for single reports. */
  readonly datagramsRejected: Float64Array;
  readonly reportsRefused: Float64Array;
  /** By warning bit. */
  readonly warnings: Float64Array;
  /** By index of the unknown dialect. */
  readonly unknownDialects: Float64Array;
  /** By place. */
  readonly datagramsDropped: Float64Array;
  /** Collector time of the newest datagram, ns; how far the ingest thread has come. */
  readonly newestArrivalNs: Float64Array;

  constructor(arena: Arena, refusals: number, warnings: number, unknownDialects: number) {
    this.datagramsReceived = arena.float64(1);
    this.bytesReceived = arena.float64(1);
    this.datagramsDecoded = arena.float64(1);
    this.duplicates = arena.float64(1);
    this.reportsFramed = arena.float64(1);
    this.reportsDecoded = arena.float64(1);
    this.hopsDecoded = arena.float64(1);
    this.telemetryOfTelemetry = arena.float64(1);
    this.datagramsRejected = arena.float64(refusals);
    this.reportsRefused = arena.float64(refusals);
    this.warnings = arena.float64(warnings);
    this.unknownDialects = arena.float64(unknownDialects);
    this.datagramsDropped = arena.float64(DROP_PLACES.length);
    this.newestArrivalNs = arena.float64(1);
  }
}
