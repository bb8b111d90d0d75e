// Which dialect a datagram speaks, and the one entry to all decoders.
// Recognition is by bytes alone, and only where it is certain: the version nibble, then the signatures of formats that have another one. A
// profile narrows it down, and says what its source means where the bytes lie.
// Rule: all or nothing per datagram. A rejected datagram leaves the batch as it was.

import { DIALECTS, type HopBatch } from '../hop.ts';
import { metadataOver } from './baseline.ts';
import { Cursor, looksLikeEthernet } from './cursor.ts';
import { HostInt, hostIntOver } from './host-int.ts';
import { ifaOver } from './ifa.ts';
import { InbandStack } from './inband-stack.ts';
import { innerPacketOver } from './inner-packet.ts';
import { intMdOver } from './int-md.ts';
import { ioamOver } from './ioam.ts';
import { ipfixOver } from './ipfix.ts';
import type { DatagramOutcome, DialectDecoder } from './outcome.ts';
import type { SourceProfile } from './profile.ts';
import { Refusal, UNKNOWN_DIALECTS, Warning } from './reason.ts';
import { rowsOver } from './report-row.ts';
import { reportV05Over } from './report-v05.ts';
import { reportV10Over } from './report-v10.ts';
import { reportV20Over } from './report-v20.ts';
import { sflowOver } from './sflow.ts';
import { tunnelsOver } from './tunnel.ts';

/** Fixed header of Telemetry Report v0.5. */
const V05_FIXED_BYTES = 12;
const V05_FLAGS = 0x00e0_0000;
const [V05, V10, V20, HOST_INT, IPFIX, SFLOW] = DIALECTS.map((_, dialect) => dialect);
/** What `recognise` gives for a format that is known and not decoded: its index in UNKNOWN_DIALECTS, counted down from here. */
const STRANGER = -1;
const NETFLOW_V5 = STRANGER - UNKNOWN_DIALECTS.indexOf('netflow-v5');
const NETFLOW_V9 = STRANGER - UNKNOWN_DIALECTS.indexOf('netflow-v9');
const UNRECOGNISED = STRANGER - UNKNOWN_DIALECTS.indexOf('unrecognised');

/**
 * The entry to all decoders, over the batch that they append to and the outcome that describes the rest. It never throws on any bytes;
 * work and rows are bounded by the length.
 *
 * Every part of a decoder is a closure over the batch's columns, made once in a thread. V8 then knows the columns as constants, and reading
 * or writing one costs three instructions; through an object it costs fourteen (seen in its code, Node 24).
 */
export function decoderOver(batch: HopBatch, outcome: DatagramOutcome): DialectDecoder {
  const stack = new InbandStack();
  const at = new Cursor();
  const rows = rowsOver(batch, outcome);
  const metadata = metadataOver(batch);
  const int = intMdOver(batch, stack, metadata.readBaseline);
  const { readIoamOptions, readIoamTrace } = ioamOver(batch, at, stack);
  const tunnels = tunnelsOver(batch, at, stack, int);
  const decodeInnerPacket = innerPacketOver(batch, at, stack, {
    int,
    tunnels,
    readIoamOptions,
    decodeIfa: ifaOver(batch, stack),
  });
  const decodeReportV20 = reportV20Over(batch, outcome, stack, rows, metadata, decodeInnerPacket);
  /** By dialect. */
  const decoders: readonly DialectDecoder[] = [
    reportV05Over(batch, outcome, stack, rows, decodeInnerPacket),
    reportV10Over(batch, outcome, stack, rows, metadata, decodeInnerPacket),
    decodeReportV20,
    hostIntOver(batch, outcome, stack, rows, decodeInnerPacket, int.decodeIntMd),
    ipfixOver(batch, outcome, stack, rows, decodeInnerPacket, readIoamTrace),
    sflowOver(batch, outcome, stack, rows, decodeInnerPacket),
  ];
  const { ingressInterfaceId, egressInterfaceId } = batch;
  const { warnings } = batch.reports;
  const { interfaceId: linkInterfaceId } = batch.links;

  return function decodeDatagram(b: DataView, start: number, end: number, profile: SourceProfile): void {
    outcome.reset();
    if (end - start < 4) return outcome.reject(Refusal.groupShort, 0);
    const version = b.getUint8(start) >>> 4;
    outcome.versionNibble = version;
    const hops = batch.length;
    const reports = batch.reports.length;
    const links = batch.links.length;
    const datagrams = batch.datagrams.length;
    batch.datagramFirstHop = hops;
    let dialect = version === 2 ? V20 : version === 1 ? V10 : recogniseV0(b, start, end, version, profile);
    const { reportVersion } = profile;
    const isRelabelled = reportVersion >= 0 && dialect >= 0 && dialect <= V20 && dialect !== reportVersion;
    if (isRelabelled) dialect = reportVersion;
    if (dialect < 0) {
      outcome.unknownDialect = 1 + STRANGER - dialect;
      return outcome.reject(Refusal.version, 0);
    }
    outcome.dialect = dialect;
    if (profile.dialects !== 0 && (profile.dialects & (1 << dialect)) === 0) return outcome.reject(Refusal.dialect, 0);
    // The one that matters most is called by its name, so that V8 can inline it.
    if (dialect === V20) decodeReportV20(b, start, end, profile);
    else decoders[dialect](b, start, end, profile);
    if (outcome.rejected !== 0) {
      batch.length = hops;
      batch.reports.length = reports;
      batch.links.length = links;
      batch.datagrams.length = datagrams;
      return;
    }
    if (isRelabelled && batch.reports.length > reports) warnings[reports] |= Warning.versionNibble;
    if (profile.interfaces.size > 0) renameInterfaces(hops, links, profile.interfaces);
  };

  /** Interfaces of the rows from `hop` and `link` on, as the profile's map has them. */
  function renameInterfaces(hop: number, link: number, names: ReadonlyMap<number, number>): void {
    for (; hop < batch.length; hop++) {
      ingressInterfaceId[hop] = names.get(ingressInterfaceId[hop]) ?? ingressInterfaceId[hop];
      egressInterfaceId[hop] = names.get(egressInterfaceId[hop]) ?? egressInterfaceId[hop];
    }
    for (; link < batch.links.length; link++) linkInterfaceId[link] = names.get(linkInterfaceId[link]) ?? linkInterfaceId[link];
  }
}

/** Dialect of a datagram whose first nibble is neither 1 nor 2; below 0 for a stranger. Called with at least four octets. */
function recogniseV0(b: DataView, start: number, end: number, version: number, profile: SourceProfile): number {
  if (version !== 0) return UNRECOGNISED;
  // No other format begins with these octets.
  const first = b.getUint8(start);
  if (first === HostInt.dropSummary || first === HostInt.latency) return HOST_INT;
  // A v0.5 report without a node header shows its Ethernet frame 12 octets on: that settles it.
  if (looksLikeEthernet(b, start + V05_FIXED_BYTES, end)) return V05;
  const word = b.getUint32(start);
  if (word === 5 && end - start >= 8 && (b.getUint32(start + 4) === 1 || b.getUint32(start + 4) === 2)) return SFLOW;
  const half = b.getUint16(start);
  if (half === 5 && end - start >= 24) return NETFLOW_V5;
  if (half === 9 && end - start >= 20) return NETFLOW_V9;
  if (half === 10 && end - start >= 16 && b.getUint16(start + 2) === end - start) return IPFIX;
  // A report about nothing (NProto, D, Q and F are 0) of a packet that shows no IP could be anything.
  return first === 0 && (word & V05_FLAGS) === 0 && (profile.dialects & (1 << V05)) === 0 ? UNRECOGNISED : V05;
}
