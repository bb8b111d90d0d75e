// Appends the row of one report to a batch, with everything that later code may read set to a known value.
// Shared by the dialects so that none of them can forget a column.

import type { DIALECTS, HopBatch } from '../hop.ts';
import type { DatagramOutcome } from './outcome.ts';
import type { SourceProfile } from './profile.ts';

/**
 * Appends a report row and returns its index. `version` is 0, 1 or 2 (the version nibble, which is also the dialect's index),
 * `timestampWrapNs` is 0 for 64-bit timestamps. Header fields come from `outcome`.
 */
export function appendReport(
  batch: HopBatch,
  version: 0 | 1 | 2,
  indexInDatagram: number,
  flags: number,
  outcome: DatagramOutcome,
  profile: SourceProfile,
  timestampWrapNs: number,
): number {
  const r = batch.reports;
  const row = r.length++;
  r.dialect[row] = version satisfies keyof typeof DIALECTS;
  r.indexInDatagram[row] = indexInDatagram;
  r.flags[row] = flags;
  r.hardwareId[row] = outcome.hardwareId;
  r.sequenceNumber[row] = outcome.sequenceNumber;
  r.reporterNodeId[row] = outcome.nodeId;
  r.warnings[row] = 0;
  r.firstHop[row] = batch.length;
  r.hopCount[row] = 0;
  r.timestampWrapNs[row] = timestampWrapNs;
  r.occupancyUnitBytes[row] = profile.occupancyUnitBytes;
  r.portBytesPerNs[row] = profile.portBytesPerNs;
  r.emptyLatencyNs[row] = profile.emptyLatencyNs;
  r.flowParts[row] = 0;
  r.addressFamily[row] = 0;
  r.protocol[row] = 0;
  r.sourcePort[row] = 0;
  r.destinationPort[row] = 0;
  r.ttl[row] = 0;
  r.dscp[row] = 0;
  r.packetLengthBytes[row] = 0;
  r.tcpSequence[row] = 0;
  r.vni[row] = 0;
  r.flowRow[row] = 0;
  r.flowGeneration[row] = 0;
  return row;
}
