// Arrival logs written by hand.

import type { AttributionSources } from '../../collector/diagnose/attribution.ts';
import type { Owner } from '../../collector/event.ts';
import type { ArrivalLog } from '../../collector/memory/arrivals.ts';

/** The queue of arrivals that do not say another. */
export const QUEUE_ROW = 5;

export interface HandMadeArrival {
  atNs: number;
  flow: number;
  waitNs?: number;
  bytes?: number;
  weight?: number;
  /** Given for TCP. */
  sequence?: number;
  queueRow?: number;
}

export function logOf(arrivals: readonly HandMadeArrival[]): ArrivalLog {
  return {
    length: arrivals.length,
    enqueueNodeNs: Float64Array.from(arrivals, (a) => a.atNs),
    waitNs: Float64Array.from(arrivals, (a) => a.waitNs ?? 0),
    lengthBytes: Float64Array.from(arrivals, (a) => a.bytes ?? 1500),
    weight: Float64Array.from(arrivals, (a) => a.weight ?? 1),
    flowRow: Uint32Array.from(arrivals, (a) => a.flow),
    flowGeneration: Uint32Array.from(arrivals, () => 2),
    tcpSequence: Uint32Array.from(arrivals, (a) => (a.sequence ?? 0) >>> 0),
    hasTcpSequence: Uint8Array.from(arrivals, (a) => (a.sequence === undefined ? 0 : 1)),
    queueRow: Uint32Array.from(arrivals, (a) => a.queueRow ?? QUEUE_ROW),
  };
}

/** A port of one queue, whose senders are all reported and were not seen before. */
export const ONE_QUEUE: Omit<AttributionSources, 'portBytesPerNs' | 'senderOf' | 'receiverOf' | 'endsOf'> = {
  sharesPort: false,
  isFiltered: false,
  budgetNsOf: () => 1e6,
  portAccount: { expected: 0, unseen: 0, reports: 0, reported: 1 },
  rankOf: () => 0,
  paceOf: () => 0,
};

export function workload(name: string, kind: Owner['kind'] = 'workload'): Owner {
  return { kind, namespace: 'shop', workload: name, confidence: kind === 'unknown' ? 0 : 0.9 };
}
