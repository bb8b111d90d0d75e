// Batches written by hand, for tests of what comes behind the decoder.

import { HopBatch, Present } from '../../collector/hop.ts';

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
  nodeRow?: number;
  enqueueNodeNs?: number;
  flowRow?: number;
}

/** A batch with one report of one hop. What is not given is absent. */
export function batchOf(hop: HandMadeHop): HopBatch {
  const batch = new HopBatch(4, 4);
  const r = batch.reports;
  batch.length = 1;
  r.length = 1;
  r.hopCount[0] = 1;
  r.reporterNodeId[0] = hop.nodeId ?? 0;
  r.flags[0] = hop.flags ?? 0;
  r.timestampWrapNs[0] = hop.timestampWrapNs ?? 0;
  r.occupancyUnitBytes[0] = hop.occupancyUnitBytes ?? 0;
  r.portBytesPerNs[0] = hop.portBytesPerNs ?? 0;
  r.emptyLatencyNs[0] = hop.emptyLatencyNs ?? Infinity;
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
  batch.nodeRow[0] = hop.nodeRow ?? 0;
  batch.enqueueNodeNs[0] = hop.enqueueNodeNs ?? 0;
  return batch;
}
