// Batches written by hand, for tests of what comes behind the decoder.

import { HopBatch, Present } from '../../collector/hop.ts';
import { HashSecret } from '../../collector/shared-state.ts';

export interface HandMadeHop {
  nodeId?: number;
  egressInterfaceId?: number;
  queueId?: number;
  hopLatencyNs?: number;
  queueOccupancy?: number;
  ingressTimestampNs?: bigint;
  egressTimestampNs?: bigint;
  timestampWrapNs?: number;
  occupancyUnitBytes?: number;
  portBytesPerNs?: number;
  emptyLatencyNs?: number;
  packetLengthBytes?: number;
  flags?: number;
  /** Set by hand where no clock stage runs. */
  nodeTag?: number;
  enqueueNodeNs?: number;
  flowRow?: number;
}

/** Keys for tables that stand alone. */
export const FIXED_SECRET = HashSecret.fixed().words;

/** A batch for such hops. */
export function smallBatch(): HopBatch {
  return new HopBatch(4, 4);
}

/** Fills the batch with one report of one hop that arrives at `nowNs`. What is not given is absent. */
export function fill(batch: HopBatch, hop: HandMadeHop, nowNs: number): void {
  const { reports: r, datagrams: d } = batch;
  batch.arrivalNs[0] = nowNs;
  batch.length = 1;
  batch.present[0] = 0;
  r.length = 1;
  d.length = 1;
  d.nodeId[0] = hop.nodeId ?? 0;
  d.sourceKey[0] = 99;
  d.reportCount[0] = 1;
  d.timestampWrapNs[0] = hop.timestampWrapNs ?? 0;
  d.occupancyUnitBytes[0] = hop.occupancyUnitBytes ?? 0;
  d.portBytesPerNs[0] = hop.portBytesPerNs ?? 0;
  d.emptyLatencyNs[0] = hop.emptyLatencyNs ?? Infinity;
  r.hopCount[0] = 1;
  r.flags[0] = hop.flags ?? 0;
  r.packetLengthBytes[0] = hop.packetLengthBytes ?? 1500;
  r.flowRow[0] = hop.flowRow ?? 0;
  const put = (column: { [row: number]: number | bigint }, value: number | bigint | undefined, bit: number): void => {
    if (value === undefined) return;
    column[0] = value;
    batch.present[0] |= bit;
  };
  put(batch.nodeId, hop.nodeId, Present.nodeId);
  put(batch.egressInterfaceId, hop.egressInterfaceId, Present.egressInterfaceId);
  put(batch.queueId, hop.queueId, Present.queueId);
  put(batch.hopLatencyNs, hop.hopLatencyNs, Present.hopLatency);
  put(batch.queueOccupancy, hop.queueOccupancy, Present.queueOccupancy);
  put(batch.ingressTimestampNs, hop.ingressTimestampNs, Present.ingressTimestamp);
  put(batch.egressTimestampNs, hop.egressTimestampNs, Present.egressTimestamp);
  batch.nodeTag[0] = hop.nodeTag ?? 0;
  batch.enqueueNodeNs[0] = hop.enqueueNodeNs ?? 0;
}
