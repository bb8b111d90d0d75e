// sFlow version 5: sampled packets with what the switch did with them, packets that it discarded, and counters of its interfaces.
// Layout: sflow.org sFlow version 5 (2004) section 5; extended egress queue, transit delay and queue depth as in "sFlow Transit Delay
// Structures", discarded packets as in "sFlow Dropped Packet Notification Structures".
// A flow sample is one packet in as many as its rate says: a report of one hop. Its agent stands for the node, there is no node id.
// Rule: no sample is believed before the lengths of all were walked; a record is skipped by its length, known or not.

import { DIALECTS, HopOrigin, LINK_COUNTERS, LinkCounter, LinkStatus, Present, ReportFlag, type HopBatch } from '../hop.ts';
import { InnerType } from './cursor.ts';
import type { InbandStack } from './inband-stack.ts';
import type { DecodeInnerPacket } from './inner-packet.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal, Warning } from './reason.ts';
import type { Rows } from './report-row.ts';

// Bound here, because an imported binding is loaded and checked at each use.
const {
  dropReason: HAS_DROP_REASON,
  egressInterfaceId: HAS_EGRESS_INTERFACE_ID,
  hopLatency: HAS_HOP_LATENCY,
  ingressInterfaceId: HAS_INGRESS_INTERFACE_ID,
  queueId: HAS_QUEUE_ID,
  queueOccupancy: HAS_QUEUE_OCCUPANCY,
} = Present;
const { dropped: FLAG_DROPPED } = ReportFlag;
const { sflowV5: ORIGIN_SFLOW } = HopOrigin;
const DIALECT = DIALECTS.indexOf('sflow-v5');

const VERSION = 5;
const ADDRESS_IPV4 = 1;
const ADDRESS_IPV6 = 2;
/** Sub-agent, sequence number, uptime and number of samples. */
const TAIL_BYTES = 16;
const HEAD_BYTES = 8;
/** Type of a sample or record: enterprise in the upper 20 bits, 0 for those of the standard; format in the lower 12. */
const Sample = { flow: 1, counters: 2, expandedFlow: 3, expandedCounters: 4, discarded: 5 } as const;
/** Octets of a sample before its records, and where in it the words lie that are read. */
const FLOW_BYTES = 32;
const EXPANDED_FLOW_BYTES = 44;
const DISCARDED_BYTES = 32;
const COUNTERS_BYTES = 12;
const EXPANDED_COUNTERS_BYTES = 16;
const Flow = { rawHeader: 1, extendedSwitch: 1001, egressQueue: 1036, transitDelay: 1039, queueDepth: 1040 } as const;
const GENERIC_INTERFACE = 1;
const GENERIC_INTERFACE_BYTES = 88;
/** header_protocol of a raw header, and what the packet begins with. */
const HeaderProtocol = { ethernet: 1, ipv4: 11, ipv6: 12 } as const;
const NOT_AVAILABLE = 0xffff_ffff;
/** Interface of a flow sample: how it is meant in the upper two bits; or, in an expanded one, in a word of its own. */
const Meaning = { interface: 0, discarded: 1 } as const;
const INTERNAL_INTERFACE = 0x3fff_ffff;

/** The decoder over a batch: a datagram [start, end) whose lengths contradict each other appends nothing. */
export function sflowOver(
  batch: HopBatch,
  outcome: DatagramOutcome,
  stack: InbandStack,
  { appendDatagram, appendReport, appendLink }: Rows,
  decodeInnerPacket: DecodeInnerPacket,
): DialectDecoder {
  const { report: reportOf, present, origin, ingressInterfaceId, egressInterfaceId, queueId, queueOccupancy } = batch;
  const { hopLatencyNs, dropReason } = batch;
  const { hopCount, warnings, representedPackets, vlanId } = batch.reports;
  const { occupancyUnitBytes, reportCount } = batch.datagrams;
  const { counters, status } = batch.links;

  function decodeSflow(b: DataView, start: number, end: number, profile: SourceProfile): void {
    if (end - start < HEAD_BYTES) return outcome.reject(Refusal.groupShort, 0);
    const addressType = b.getUint32(start + 4);
    if (b.getUint32(start) !== VERSION) return outcome.reject(Refusal.version, 0);
    if (addressType !== ADDRESS_IPV4 && addressType !== ADDRESS_IPV6) return outcome.reject(Refusal.nextProtocol, 4);
    const tail = start + HEAD_BYTES + (addressType === ADDRESS_IPV4 ? 4 : 16);
    if (tail + TAIL_BYTES > end) return outcome.reject(Refusal.groupShort, HEAD_BYTES);
    outcome.sequenceBits = 32;
    outcome.hasHeader = true;
    readAgent(b, start + HEAD_BYTES, tail);
    outcome.hardwareId = b.getUint32(tail);
    outcome.sequenceNumber = b.getUint32(tail + 4);
    const samples = b.getUint32(tail + 12);
    if (samples === 0) return outcome.reject(Refusal.noReport, tail + 12 - start);

    const firstReport = batch.reports.length;
    appendDatagram(DIALECT, profile, 0);
    // Depth is in octets by the structure's definition.
    occupancyUnitBytes[batch.datagrams.length - 1] = 1;
    let o = tail + TAIL_BYTES;
    for (let index = 0; index < samples; index++) {
      // A sample takes at least eight octets: the count cannot keep us longer than the datagram is.
      if (o + 8 > end) return outcome.reject(Refusal.reportOverrun, o - start);
      const next = o + recordBytes(b, o);
      if (next > end) return outcome.reject(Refusal.reportOverrun, o - start);
      const refusal = decodeSample(b, o + 8, next, b.getUint32(o), index, profile);
      if (refusal !== 0) outcome.refuseReport(index, refusal, o - start);
      o = next;
    }
    outcome.framedReports = batch.reports.length - firstReport + outcome.refusedReports;
    if (o < end && batch.reports.length > firstReport) warnings[batch.reports.length - 1] |= Warning.trailing;
  }

  /** The agent's address, IPv4 as ::ffff:a.b.c.d; its key is its words folded, as those of a sender are. */
  function readAgent(b: DataView, o: number, end: number): void {
    const words = outcome.agentWords;
    words[0] = 0;
    words[1] = 0;
    words[2] = 0xffff;
    for (let word = 3; end > o; word--) words[word] = b.getUint32((end -= 4));
    outcome.agentKey = (words[0] ^ words[1] ^ words[2] ^ words[3]) >>> 0 || 1;
  }

  function decodeSample(b: DataView, o: number, end: number, type: number, index: number, profile: SourceProfile): number {
    if (type === Sample.flow) return decodeFlow(b, o, end, index, profile, false);
    if (type === Sample.expandedFlow) return decodeFlow(b, o, end, index, profile, true);
    if (type === Sample.discarded) return decodeDiscarded(b, o, end, index, profile);
    if (type === Sample.counters) return decodeCounters(b, o + COUNTERS_BYTES, end);
    if (type === Sample.expandedCounters) return decodeCounters(b, o + EXPANDED_COUNTERS_BYTES, end);
    return Refusal.reportType;
  }

  function decodeFlow(b: DataView, o: number, end: number, index: number, profile: SourceProfile, isExpanded: boolean): number {
    const records = o + (isExpanded ? EXPANDED_FLOW_BYTES : FLOW_BYTES);
    if (records > end) return Refusal.metadataShort;
    const refusal = checkRecords(b, records, end);
    if (refusal !== 0) return refusal;
    // Source id, rate, pool and drops; then the interfaces: two words, or two pairs of meaning and value.
    const rate = b.getUint32(o + (isExpanded ? 12 : 8));
    const input = o + (isExpanded ? 24 : 20);
    const output = input + (isExpanded ? 8 : 4);
    const outputMeaning = isExpanded ? b.getUint32(output) : b.getUint32(output) >>> 30;
    const outputValue = isExpanded ? b.getUint32(output + 4) : b.getUint32(output) & INTERNAL_INTERFACE;
    const isDiscarded = outputMeaning === Meaning.discarded;
    const row = appendReport(index, isDiscarded ? FLAG_DROPPED : 0);
    const hop = appendHop(row);
    representedPackets[row] = Math.max(1, rate);
    noteInterface(hop, isExpanded ? b.getUint32(input) : b.getUint32(input) >>> 30, inputValueOf(b, input, isExpanded), true);
    if (isDiscarded) noteDropReason(hop, outputValue);
    else noteInterface(hop, outputMeaning, outputValue, false);
    warnings[row] = readRecords(b, records, end, row, hop, profile);
    return 0;
  }

  /** A packet that was discarded: its interfaces are plain numbers, and the reason is named by the structure's own table. */
  function decodeDiscarded(b: DataView, o: number, end: number, index: number, profile: SourceProfile): number {
    const records = o + DISCARDED_BYTES;
    if (records > end) return Refusal.metadataShort;
    const refusal = checkRecords(b, records, end);
    if (refusal !== 0) return refusal;
    const row = appendReport(index, FLAG_DROPPED);
    const hop = appendHop(row);
    noteInterface(hop, Meaning.interface, b.getUint32(o + 16), true);
    noteInterface(hop, Meaning.interface, b.getUint32(o + 20), false);
    noteDropReason(hop, b.getUint32(o + 24));
    warnings[row] = readRecords(b, records, end, row, hop, profile);
    return 0;
  }

  function appendHop(report: number): number {
    const hop = batch.length++;
    reportOf[hop] = report;
    present[hop] = 0;
    origin[hop] = ORIGIN_SFLOW;
    hopCount[report] = 1;
    return hop;
  }

  /** 0 stands for an interface that is not known, and none is named for packets to several or from the switch itself. */
  function noteInterface(hop: number, meaning: number, value: number, isIngress: boolean): void {
    if (meaning !== Meaning.interface || value === 0 || value === INTERNAL_INTERFACE || value === NOT_AVAILABLE) return;
    if (isIngress) ingressInterfaceId[hop] = value;
    else egressInterfaceId[hop] = value;
    present[hop] |= isIngress ? HAS_INGRESS_INTERFACE_ID : HAS_EGRESS_INTERFACE_ID;
  }

  function noteDropReason(hop: number, reason: number): void {
    dropReason[hop] = Math.min(reason, 0xffff);
    present[hop] |= HAS_DROP_REASON;
  }

  /** The records of a flow that are known; lengths were checked. */
  function readRecords(b: DataView, first: number, end: number, row: number, hop: number, profile: SourceProfile): number {
    let noted = 0;
    let vlan = 0;
    for (let o = first; o < end; o += recordBytes(b, o)) {
      const type = b.getUint32(o);
      const length = b.getUint32(o + 4);
      const data = o + 8;
      if (type === Flow.rawHeader && length >= 16) noted |= readHeader(b, data, data + length, row, profile);
      else if (length < 4) continue;
      else if (type === Flow.egressQueue) {
        queueId[hop] = b.getUint32(data);
        present[hop] |= HAS_QUEUE_ID;
      } else if (type === Flow.transitDelay) {
        // All ones stands for this and anything longer.
        hopLatencyNs[hop] = b.getUint32(data);
        present[hop] |= HAS_HOP_LATENCY;
      } else if (type === Flow.queueDepth) {
        queueOccupancy[hop] = b.getUint32(data);
        present[hop] |= HAS_QUEUE_OCCUPANCY;
      } else if (type === Flow.extendedSwitch) vlan = b.getUint32(data);
    }
    // The switch knows the VLAN also where the header has no tag.
    if (vlanId[row] === 0 && vlan <= 0xfff) vlanId[row] = vlan;
    return noted;
  }

  /** Head of the sampled packet: protocol, frame length, octets stripped at its end, octets of the header, then these. */
  function readHeader(b: DataView, o: number, end: number, row: number, profile: SourceProfile): number {
    const protocol = b.getUint32(o);
    const headerEnd = o + 16 + b.getUint32(o + 12);
    if (headerEnd > end) return Warning.innerTruncated;
    const inner =
      protocol === HeaderProtocol.ethernet
        ? InnerType.ethernet
        : protocol === HeaderProtocol.ipv4
          ? InnerType.ipv4
          : protocol === HeaderProtocol.ipv6
            ? InnerType.ipv6
            : InnerType.none;
    if (inner === InnerType.none) return Warning.innerTypeReserved;
    stack.begin(0);
    // In-band telemetry in a packet on its way is not whole: the sink reports it.
    return decodeInnerPacket(b, o + 16, headerEnd, inner, row, profile, false);
  }

  /** Counters of interfaces: other records of a counter sample are passed over. */
  function decodeCounters(b: DataView, records: number, end: number): number {
    if (records > end) return Refusal.metadataShort;
    const refusal = checkRecords(b, records, end);
    if (refusal !== 0) return refusal;
    reportCount[batch.datagrams.length - 1]++;
    for (let o = records; o < end; o += recordBytes(b, o)) {
      if (b.getUint32(o) === GENERIC_INTERFACE && b.getUint32(o + 4) >= GENERIC_INTERFACE_BYTES) readInterface(b, o + 8);
    }
    return 0;
  }

  function readInterface(b: DataView, o: number): void {
    const row = appendLink(b.getUint32(o));
    const at = row * LINK_COUNTERS;
    counters[at + LinkCounter.speedBitsPerSecond] = wide(b, o + 8);
    status[row] = b.getUint32(o + 20) === NOT_AVAILABLE ? LinkStatus.unknown : b.getUint32(o + 20) & 3;
    counters[at + LinkCounter.inOctets] = wide(b, o + 24);
    counters[at + LinkCounter.inPackets] = packets(b, o + 32);
    counters[at + LinkCounter.inDiscards] = narrow(b, o + 44);
    counters[at + LinkCounter.inErrors] = narrow(b, o + 48);
    counters[at + LinkCounter.outOctets] = wide(b, o + 56);
    counters[at + LinkCounter.outPackets] = packets(b, o + 64);
    counters[at + LinkCounter.outDiscards] = narrow(b, o + 76);
    counters[at + LinkCounter.outErrors] = narrow(b, o + 80);
  }

  return decodeSflow;
}

/** Octets of a sample or record at `o` with its head; opaque data is filled to whole words (RFC 4506 section 4.10). */
function recordBytes(b: DataView, o: number): number {
  const length = b.getUint32(o + 4);
  return 8 + length + ((4 - (length & 3)) & 3);
}

/** Walks the records at [o, end): 0 when their lengths fill it exactly, else the refusal. */
function checkRecords(b: DataView, o: number, end: number): number {
  while (o + 8 <= end) o += recordBytes(b, o);
  return o === end ? 0 : Refusal.metadataShort;
}

function inputValueOf(b: DataView, input: number, isExpanded: boolean): number {
  return isExpanded ? b.getUint32(input + 4) : b.getUint32(input) & INTERNAL_INTERFACE;
}

/** A counter of 64 bits; -1 when it is not available. Beyond 2^53 it loses its last bits. */
function wide(b: DataView, o: number): number {
  const high = b.getUint32(o);
  const low = b.getUint32(o + 4);
  return high === NOT_AVAILABLE && low === NOT_AVAILABLE ? -1 : high * 0x1_0000_0000 + low;
}

function narrow(b: DataView, o: number): number {
  const value = b.getUint32(o);
  return value === NOT_AVAILABLE ? -1 : value;
}

/** Unicast, multicast and broadcast packets together, as far as the agent counts them; -1 when it counts none. */
function packets(b: DataView, o: number): number {
  const unicast = narrow(b, o);
  const multicast = narrow(b, o + 4);
  const broadcast = narrow(b, o + 8);
  if (unicast < 0 && multicast < 0 && broadcast < 0) return -1;
  return Math.max(0, unicast) + Math.max(0, multicast) + Math.max(0, broadcast);
}
