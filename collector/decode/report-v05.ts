// Telemetry Report v0.5 as SD-Fabric (stratum/fabric-tna) sends it: one report per datagram, no length fields.
// Layout: telemetry report specification v0.5 sections 3.1 to 3.3; deviations: D, Q, F seen as specified.
// Rule: timestamps are the low 32 bits of the device clock; they wrap and never become absolute here.

import { Present, ReportFlag, type HopBatch } from '../hop.ts';
import { u16, u24, u32, writeScaled64 } from './bytes.ts';
import { decodeInnerPacket, InnerType } from './inner-packet.ts';
import type { IntStack } from './int-md.ts';
import type { DatagramOutcome } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal } from './reason.ts';
import { appendReport } from './report-row.ts';

const FIXED_BYTES = 12;
const DROP_BYTES = 12;
const LOCAL_BYTES = 16;
const WRAP_UNITS = 0x1_0000_0000;

/** NProto values of section 3.1; 3 and 4 are Intel Host-INT's and are named by the caller, not decoded. */
const NextProtocol = { ethernet: 0, drop: 1, switchLocal: 2 } as const;

/** Decodes the one report at [start, end) of `b` into `batch`. On refusal nothing is appended and `outcome` says why. */
export function decodeReportV05(
  b: Uint8Array,
  start: number,
  end: number,
  profile: SourceProfile,
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: IntStack,
): void {
  if (end - start < FIXED_BYTES) return outcome.reject(Refusal.groupShort, 0);
  const word = u32(b, start);
  const nextProtocol = (word >>> 24) & 0x0f;
  outcome.sequenceBits = 32;
  outcome.hardwareId = word & 0x3f;
  outcome.sequenceNumber = u32(b, start + 4);
  if (nextProtocol > NextProtocol.switchLocal) return outcome.reject(Refusal.nextProtocol, 0);
  const headerBytes =
    nextProtocol === NextProtocol.drop ? DROP_BYTES : nextProtocol === NextProtocol.switchLocal ? LOCAL_BYTES : 0;
  if (end - start < FIXED_BYTES + headerBytes) return outcome.reject(Refusal.groupShort, FIXED_BYTES);
  const o = start + FIXED_BYTES;
  outcome.hasHeader = true;
  outcome.nodeId = nextProtocol === NextProtocol.ethernet ? 0 : u32(b, o);
  outcome.framedReports = 1;

  const flags =
    ((word & 0x00800000) !== 0 ? ReportFlag.dropped : 0) |
    ((word & 0x00400000) !== 0 ? ReportFlag.congestedQueue : 0) |
    ((word & 0x00200000) !== 0 ? ReportFlag.trackedFlow : 0);
  const report = appendReport(batch, 0, 0, flags, outcome, profile, WRAP_UNITS * profile.timestampUnitNs);
  const hop = batch.length++;
  batch.report[hop] = report;
  batch.present[hop] = Present.ingressTimestamp;
  writeScaled64(batch.ingressTimestampWords, hop, 0, u32(b, start + 8), profile.timestampUnitNs);
  if (nextProtocol !== NextProtocol.ethernet) {
    batch.nodeId[hop] = outcome.nodeId;
    batch.ingressInterfaceId[hop] = u16(b, o + 4);
    batch.egressInterfaceId[hop] = u16(b, o + 6);
    batch.queueId[hop] = b[o + 8];
    batch.present[hop] |= Present.nodeId | Present.ingressInterfaceId | Present.egressInterfaceId | Present.queueId;
  }
  if (nextProtocol === NextProtocol.drop) {
    batch.dropReason[hop] = b[o + 9];
    batch.present[hop] |= Present.dropReason;
  } else if (nextProtocol === NextProtocol.switchLocal) {
    batch.queueOccupancy[hop] = u24(b, o + 9);
    writeScaled64(batch.egressTimestampWords, hop, 0, u32(b, o + 12), profile.timestampUnitNs);
    batch.present[hop] |= Present.queueOccupancy | Present.egressTimestamp;
  }
  batch.reports.hopCount[report] = 1;
  stack.reset();
  batch.reports.warnings[report] = decodeInnerPacket(
    b,
    o + headerBytes,
    end,
    InnerType.ethernet,
    batch,
    report,
    profile,
    false,
    stack,
  );
}
