// Baseline metadata of INT, bits 1 to 8: the same words serve stacks inside packets and the metadata of reports.
// Layout: INT v2.1 section 5.7, v1.0 section 4.7, v0.5 section 4.5; all ones in a whole unit means "not available" (v2.1 section 5.8).

import { Present, type HopBatch } from '../hop.ts';
import { popcount16, writeScaled64 } from './bytes.ts';
import { IntLayout } from './inband-stack.ts';
import type { SourceProfile } from './profile.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const {
  buffer: HAS_BUFFER,
  dropReason: HAS_DROP_REASON,
  egressInterfaceId: HAS_EGRESS_INTERFACE_ID,
  egressInterfaceTxUtilization: HAS_EGRESS_INTERFACE_TX_UTILIZATION,
  egressTimestamp: HAS_EGRESS_TIMESTAMP,
  hopLatency: HAS_HOP_LATENCY,
  ingressInterfaceId: HAS_INGRESS_INTERFACE_ID,
  ingressTimestamp: HAS_INGRESS_TIMESTAMP,
  level2EgressInterfaceId: HAS_LEVEL2_EGRESS_INTERFACE_ID,
  level2IngressInterfaceId: HAS_LEVEL2_INGRESS_INTERFACE_ID,
  queueId: HAS_QUEUE_ID,
  queueOccupancy: HAS_QUEUE_OCCUPANCY,
} = Present;
const { geant: LAYOUT_GEANT, v05: LAYOUT_V05, v10: LAYOUT_V10 } = IntLayout;

/**
 * Octets of a stack entry for a bitmap. v2.1: timestamps and level-2 interfaces take eight octets, the checksum complement is included; v1.0:
 * level-2 interfaces alone; GEANT's programs: timestamps alone; v0.5: nothing does.
 */
export function baselineBytes(bitmap: number, layout: number): number {
  const wide = layout === LAYOUT_V10 ? 0x0200 : layout === LAYOUT_GEANT ? 0x0c00 : layout === LAYOUT_V05 ? 0 : 0x0e00;
  return 4 * (popcount16(bitmap) + popcount16(bitmap & wide));
}

/**
 * Reads baseline metadata bits 1 to 8 at [o, end) into hop `row` and returns the offset behind it. What is not available, or lies behind
 * `end`, stays absent; what the row has already stays as it is.
 */
export type ReadBaseline = (
  b: DataView,
  o: number,
  end: number,
  bitmap: number,
  row: number,
  profile: SourceProfile,
  layout: number,
) => number;

/** Reads queue id and drop reason at `o`, where four octets are, into hop `row`: the one word of a report that no stack has. */
export type ReadDropReason = (b: DataView, o: number, row: number) => void;

export interface Metadata {
  readonly readBaseline: ReadBaseline;
  readonly readDropReason: ReadDropReason;
}

/** The readers over a batch. */
export function metadataOver(batch: HopBatch): Metadata {
  const { present, dropReason, ingressInterfaceId, egressInterfaceId, hopLatencyNs, queueId } = batch;
  const { queueOccupancy, ingressTimestampWords, egressTimestampWords, egressInterfaceTxUtilization } = batch;
  const { level2IngressInterfaceId, level2EgressInterfaceId, bufferId, bufferOccupancy } = batch;

  function readBaseline(
    b: DataView,
    o: number,
    end: number,
    bitmap: number,
    row: number,
    profile: SourceProfile,
    layout: number,
  ): number {
    const had = present[row];
    let found = 0;
    read: {
      if ((bitmap & 0x4000) !== 0) {
        if (o + 4 > end) break read;
        // All ones in one half means that this half is not available.
        const pair = b.getUint32(o);
        if (pair >>> 16 !== 0xffff && (had & HAS_INGRESS_INTERFACE_ID) === 0) {
          ingressInterfaceId[row] = pair >>> 16;
          found |= HAS_INGRESS_INTERFACE_ID;
        }
        if ((pair & 0xffff) !== 0xffff && (had & HAS_EGRESS_INTERFACE_ID) === 0) {
          egressInterfaceId[row] = pair & 0xffff;
          found |= HAS_EGRESS_INTERFACE_ID;
        }
        o += 4;
      }
      if ((bitmap & 0x2000) !== 0) {
        if (o + 4 > end) break read;
        const latency = b.getUint32(o);
        if (latency !== 0xffffffff && (had & HAS_HOP_LATENCY) === 0) {
          hopLatencyNs[row] = latency * profile.latencyUnitNs;
          found |= HAS_HOP_LATENCY;
        }
        o += 4;
      }
      if ((bitmap & 0x1000) !== 0) {
        if (o + 4 > end) break read;
        const occupancy = b.getUint32(o);
        if (occupancy !== 0xffffffff && (had & HAS_QUEUE_OCCUPANCY) === 0) {
          queueId[row] = occupancy >>> 24;
          queueOccupancy[row] = occupancy & 0xffffff;
          found |= HAS_QUEUE_ID | HAS_QUEUE_OCCUPANCY;
        }
        o += 4;
      }
      if ((bitmap & 0x0800) !== 0) {
        const bytes = layout >= LAYOUT_V10 ? 4 : 8;
        if (o + bytes > end) break read;
        // All ones in the whole unit: a short stamp is one word, a long one two.
        const low = b.getUint32(o + bytes - 4);
        const high = bytes === 8 ? b.getUint32(o) : low === 0xffffffff ? low : 0;
        if ((high !== 0xffffffff || low !== 0xffffffff) && (had & HAS_INGRESS_TIMESTAMP) === 0) {
          writeScaled64(ingressTimestampWords, row, high, low, profile.timestampUnitNs);
          found |= HAS_INGRESS_TIMESTAMP;
        }
        o += bytes;
      }
      if ((bitmap & 0x0400) !== 0) {
        const bytes = layout >= LAYOUT_V10 ? 4 : 8;
        if (o + bytes > end) break read;
        // All ones in the whole unit: a short stamp is one word, a long one two.
        const low = b.getUint32(o + bytes - 4);
        const high = bytes === 8 ? b.getUint32(o) : low === 0xffffffff ? low : 0;
        if ((high !== 0xffffffff || low !== 0xffffffff) && (had & HAS_EGRESS_TIMESTAMP) === 0) {
          writeScaled64(egressTimestampWords, row, high, low, profile.timestampUnitNs);
          found |= HAS_EGRESS_TIMESTAMP;
        }
        o += bytes;
      }
      if ((bitmap & 0x0380) === 0) break read;
      // Queue id and congestion status: the status has no unit, and the queue is named by bit 3.
      if ((bitmap & 0x0200) !== 0 && layout === LAYOUT_V05) o += 4;
      else if ((bitmap & 0x0200) !== 0) {
        const isShort = layout === LAYOUT_GEANT;
        const bytes = isShort ? 4 : 8;
        if (o + bytes > end) break read;
        const ingress = isShort ? b.getUint16(o) : b.getUint32(o);
        const egress = isShort ? b.getUint16(o + 2) : b.getUint32(o + 4);
        const absent = isShort ? 0xffff : 0xffffffff;
        if (ingress !== absent && (had & HAS_LEVEL2_INGRESS_INTERFACE_ID) === 0) {
          level2IngressInterfaceId[row] = ingress;
          found |= HAS_LEVEL2_INGRESS_INTERFACE_ID;
        }
        if (egress !== absent && (had & HAS_LEVEL2_EGRESS_INTERFACE_ID) === 0) {
          level2EgressInterfaceId[row] = egress;
          found |= HAS_LEVEL2_EGRESS_INTERFACE_ID;
        }
        o += bytes;
      }
      if ((bitmap & 0x0100) !== 0) {
        if (o + 4 > end) break read;
        const utilization = b.getUint32(o);
        if (utilization !== 0xffffffff && (had & HAS_EGRESS_INTERFACE_TX_UTILIZATION) === 0) {
          egressInterfaceTxUtilization[row] = utilization;
          found |= HAS_EGRESS_INTERFACE_TX_UTILIZATION;
        }
        o += 4;
      }
      if ((bitmap & 0x0080) !== 0) {
        if (o + 4 > end) break read;
        const buffer = b.getUint32(o);
        if (buffer !== 0xffffffff && (had & HAS_BUFFER) === 0) {
          bufferId[row] = buffer >>> 24;
          bufferOccupancy[row] = buffer & 0xffffff;
          found |= HAS_BUFFER;
        }
        o += 4;
      }
    }
    present[row] = had | found;
    return o;
  }

  function readDropReason(b: DataView, o: number, row: number): void {
    if (b.getUint32(o) === 0xffffffff) return;
    if ((present[row] & HAS_QUEUE_ID) === 0) queueId[row] = b.getUint8(o);
    dropReason[row] = b.getUint8(o + 1);
    present[row] |= HAS_QUEUE_ID | HAS_DROP_REASON;
  }

  return { readBaseline, readDropReason };
}
